/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What charon tells and what becomes of it (adapters/strongswan/listener.c): the notify, the secret (R-66, against
 * the reference through libstrongswan's own kdf), what is posted to the session thread. VECTORS is the reference's file.
 * Read next: fake_charon.h.
 */
#include "fake_charon.h"
#include "without_memory.h"

#include <encoding/payloads/notify_payload.h>

/* --- messages ----------------------------------------------------------------------------------------------------- */

struct fake_message {
    message_t public;
    exchange_type_t exchange;
    bool request;
    payload_type_t holds;
    bool has_notify;
    notify_payload_t notify;
    chunk_t data; /* of that notify, or of the one that was added */
    uint8_t added_bytes[32];
    unsigned added, others_added;
};
static struct fake_message message;

static exchange_type_t get_exchange(message_t *this) { (void)this; return message.exchange; }
static bool get_request(message_t *this) { (void)this; return message.request; }
static chunk_t get_data(notify_payload_t *this) { (void)this; return message.data; }

static payload_t *get_payload(message_t *this, payload_type_t type)
{
    static payload_t some;

    (void)this;
    return type == message.holds ? &some : NULL;
}

static notify_payload_t *get_notify(message_t *this, notify_type_t type)
{
    (void)this;
    return message.has_notify && type == 50961 ? &message.notify : NULL;
}

static void add_notify(message_t *this, bool flush, notify_type_t type, chunk_t data)
{
    (void)this;
    CU_ASSERT_FALSE(flush);
    if (type != 50961) {
        message.others_added++;
        return;
    }
    message.added++;
    CU_ASSERT_TRUE_FATAL(data.len <= sizeof message.added_bytes);
    memcpy(message.added_bytes, data.ptr, data.len);
    message.data = chunk_create(message.added_bytes, data.len);
}

static void new_message(exchange_type_t exchange, bool request, payload_type_t holds)
{
    memset(&message, 0, sizeof message);
    message.public = (message_t){.get_exchange_type = get_exchange, .get_request = get_request, .get_payload = get_payload,
                                 .get_notify = get_notify, .add_notify = add_notify};
    message.notify.get_notification_data = get_data;
    message.exchange = exchange;
    message.request = request;
    message.holds = holds;
}

static void with_notify(const void *bytes, size_t len)
{
    message.has_notify = true;
    message.data = chunk_create((u_char *)bytes, len);
}

static const uint8_t ours[] = {'j', 'u', 'm', 'p', 'i', 'n', 'g', 1};

/* True if our notify was put into the message, as it has to be. */
static bool announces(ike_sa_t *sa)
{
    CU_ASSERT_TRUE(listener->message(listener, sa, &message.public, FALSE, TRUE));
    CU_ASSERT_EQUAL(message.others_added, 0);
    CU_ASSERT_TRUE(message.added <= 1);
    return message.added == 1 && message.data.len == sizeof ours && memcmp(message.data.ptr, ours, sizeof ours) == 0;
}

/* True if the peer is known to speak it after this message. */
static bool heard(ike_sa_t *sa)
{
    fake(sa)->extensions = 0;
    CU_ASSERT_TRUE(listener->message(listener, sa, &message.public, TRUE, TRUE));
    CU_ASSERT_EQUAL(message.added, 0);
    return sa->supports_extension(sa, JUMP_SWAN_EXT_SPEAKS);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static uint8_t skd_bytes[64];
static size_t skd_len;
static pseudo_random_function_t skd_prf;

static pseudo_random_function_t get_skd(keymat_v2_t *this, chunk_t *skd)
{
    (void)this;
    *skd = chunk_create(skd_bytes, skd_len);
    return skd_prf;
}

static size_t vector(const char *name, uint8_t *out, size_t most)
{
    static char line[4096];
    FILE *file = fopen(VECTORS, "r");
    size_t len = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *at = line + strlen(name);

        if (strncmp(line, name, strlen(name)) != 0 || strncmp(at, " = ", 3) != 0)
            continue;
        for (at += 3; len < most && at[0] != '\n'; at += 2) {
            const char pair[3] = {at[0], at[1], 0};
            out[len++] = (uint8_t)strtoul(pair, NULL, 16);
        }
    }
    if (file != NULL)
        fclose(file);
    return len;
}

static void keys_of(const char *hash)
{
    char name[64];

    snprintf(name, sizeof name, "strongswan_%s.sk_d", hash);
    skd_len = vector(name, skd_bytes, sizeof skd_bytes);
    skd_prf = strcmp(hash, "sha1") == 0 ? PRF_HMAC_SHA1 : PRF_HMAC_SHA2_256;
    CU_ASSERT_EQUAL_FATAL(skd_len, skd_prf == PRF_HMAC_SHA1 ? 20 : 32);
}

/* --- posts -------------------------------------------------------------------------------------------------------- */

static struct jump_swan_post post;

static bool next_post(void)
{
    struct jump_swan_post *first;

    if (swan->inbox->remove_first(swan->inbox, (void **)&first) != SUCCESS)
        return false;
    post = *first;
    free(first);
    return true;
}

static bool secret_is(const char *hash)
{
    uint8_t wanted[JUMP_SECRET_BYTES];
    char name[64];

    snprintf(name, sizeof name, "strongswan_%s.secret", hash);
    return vector(name, wanted, sizeof wanted) == sizeof wanted && memcmp(post.secret, wanted, sizeof wanted) == 0;
}

static void listen_begin(void)
{
    begin();
    CU_ASSERT_TRUE_FATAL(lib->plugins->load(lib->plugins, "sha1 sha2 hmac kdf"));
    keys_of("sha256");
    jump_swan_listen_begin();
    CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
    CU_ASSERT_PTR_NOT_NULL_FATAL(kernel_listener);
}

static void listen_end(void)
{
    jump_swan_listen_end();
    CU_ASSERT_PTR_NULL(listener);
    CU_ASSERT_PTR_NULL(kernel_listener);
    end();
}

/* Established, with a peer that announced (or did not). */
static ike_sa_t *established(bool initiator, bool speaks)
{
    ike_sa_t *sa = new_sa(initiator);

    fake(sa)->keymat.get_skd = get_skd;
    fake(sa)->extensions = speaks ? JUMP_SWAN_EXT_SPEAKS : 0;
    CU_ASSERT_TRUE(listener->ike_updown(listener, sa, TRUE));
    return sa;
}

static void destroyed(ike_sa_t *sa)
{
    CU_ASSERT_TRUE(listener->ike_state_change(listener, sa, IKE_DESTROYING));
}

/* --- R-65 --------------------------------------------------------------------------------------------------------- */

static void test_strongswan_listener_a_client_announces_in_the_request_with_its_identity_alone(void)
{
    ike_sa_t *client;

    listen_begin();
    client = new_sa(true);
    new_message(IKE_AUTH, true, PLV2_ID_INITIATOR);
    CU_ASSERT_TRUE(announces(client));
    new_message(IKE_AUTH, true, PLV2_ID_INITIATOR);
    CU_ASSERT_TRUE(listener->message(listener, client, &message.public, FALSE, FALSE)); /* the encrypted form of it */
    CU_ASSERT_EQUAL(message.added, 0);
    new_message(IKE_AUTH, true, PLV2_EAP); /* the later ones of EAP */
    CU_ASSERT_FALSE(announces(client));
    new_message(IKE_AUTH, true, PLV2_ID_RESPONDER);
    CU_ASSERT_FALSE(announces(client));
    new_message(IKE_AUTH, false, PLV2_ID_INITIATOR); /* a client's response is to nothing of this */
    CU_ASSERT_FALSE(announces(client));
    for (exchange_type_t exchange = 30; exchange < 50; exchange++) {
        new_message(exchange, true, PLV2_ID_INITIATOR);
        CU_ASSERT_EQUAL(announces(client), exchange == IKE_AUTH);
    }
    new_message(IKE_AUTH, true, PLV2_ID_INITIATOR);
    fake(client)->version = IKEV1;
    CU_ASSERT_FALSE(announces(client));
    fake(client)->version = IKEV2;
    swan->client.open = false; /* a gateway that is only a server */
    CU_ASSERT_FALSE(announces(client));
    CU_ASSERT_FALSE(next_post());
    listen_end();
}

static void test_strongswan_listener_a_server_answers_who_announced_and_nobody_else(void)
{
    ike_sa_t *server;

    listen_begin();
    server = new_sa(false);
    new_message(IKE_AUTH, false, PLV2_ID_RESPONDER);
    CU_ASSERT_FALSE(announces(server));
    new_message(IKE_AUTH, true, PLV2_ID_INITIATOR);
    with_notify(ours, sizeof ours);
    CU_ASSERT_TRUE(heard(server));
    new_message(IKE_AUTH, false, PLV2_EAP);
    CU_ASSERT_FALSE(announces(server));
    new_message(IKE_AUTH, true, PLV2_ID_INITIATOR);
    CU_ASSERT_FALSE(announces(server)); /* its own request is none of a handshake */
    new_message(IKE_AUTH, false, PLV2_ID_RESPONDER);
    CU_ASSERT_TRUE(announces(server));
    new_message(IKE_AUTH, false, PLV2_ID_RESPONDER);
    swan->server.open = false;
    CU_ASSERT_FALSE(announces(server));
    listen_end();
}

static void test_strongswan_listener_only_the_very_notify_in_its_place_is_an_announcement(void)
{
    static const uint8_t other_version[] = {'j', 'u', 'm', 'p', 'i', 'n', 'g', 2}, longer[] = {'j', 'u', 'm', 'p', 'i', 'n', 'g', 1, 0};

    listen_begin();
    for (unsigned initiator = 0; initiator < 2; initiator++) {
        ike_sa_t *sa = new_sa(initiator != 0);
        bool request = !initiator;
        payload_type_t holds = initiator ? PLV2_ID_RESPONDER : PLV2_ID_INITIATOR;

        new_message(IKE_AUTH, request, holds);
        CU_ASSERT_FALSE(heard(sa));
        with_notify(ours, sizeof ours);
        CU_ASSERT_TRUE(heard(sa));
        for (size_t len = 0; len < sizeof ours; len++) {
            with_notify(ours, len);
            CU_ASSERT_FALSE(heard(sa));
        }
        with_notify(other_version, sizeof other_version);
        CU_ASSERT_FALSE(heard(sa));
        with_notify(longer, sizeof longer);
        CU_ASSERT_FALSE(heard(sa));
        new_message(IKE_AUTH, !request, holds);
        with_notify(ours, sizeof ours);
        CU_ASSERT_FALSE(heard(sa));
        new_message(IKE_AUTH, request, PLV2_AUTH);
        with_notify(ours, sizeof ours);
        CU_ASSERT_FALSE(heard(sa));
        new_message(INFORMATIONAL, request, holds);
        with_notify(ours, sizeof ours);
        CU_ASSERT_FALSE(heard(sa));
    }
    listen_end();
}

/* --- the life of an IKE_SA ---------------------------------------------------------------------------------------- */

static void test_strongswan_listener_established_and_announced_is_a_session_with_the_references_secret(void)
{
    static const char *const hashes[] = {"sha256", "sha1"};

    listen_begin();
    for (unsigned i = 0; i < 4; i++) {
        ike_sa_t *sa;

        keys_of(hashes[i / 2]);
        sa = established(i % 2, true);
        CU_ASSERT_TRUE_FATAL(next_post());
        CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_OPEN);
        CU_ASSERT_EQUAL(post.role, i % 2 ? JUMP_CLIENT : JUMP_SERVER);
        CU_ASSERT_EQUAL(post.host, i + 1);
        CU_ASSERT_TRUE(secret_is(hashes[i / 2]));
        CU_ASSERT_EQUAL(post.local.port, 4500);
        CU_ASSERT_EQUAL(memcmp(post.local.ip + 12, "\xc6\x33\x64\x01", 4), 0);
        CU_ASSERT_EQUAL(memcmp(post.remote.ip + 12, "\xcb\x00\x71\x07", 4), 0);
        CU_ASSERT_TRUE(sa->update_hosts != sa_update_hosts); /* its methods are ours */
        CU_ASSERT_FALSE(next_post());
    }
    CU_ASSERT_EQUAL(jobs_len, 0);
    listen_end();
}

static void test_strongswan_listener_without_announcement_or_role_nothing_is_touched(void)
{
    ike_sa_t *sa;

    listen_begin();
    sa = established(true, false);
    CU_ASSERT_TRUE(sa->update_hosts == sa_update_hosts);
    CU_ASSERT_TRUE(listener->ike_rekey(listener, sa, new_sa(true)));
    destroyed(sa);
    swan->client.open = false;
    sa = established(true, true);
    CU_ASSERT_TRUE(sa->update_hosts == sa_update_hosts);
    CU_ASSERT_TRUE(table_is_empty());
    CU_ASSERT_FALSE(next_post());
    CU_ASSERT_EQUAL(jobs_len, 0);
    CU_ASSERT_EQUAL(scheduled, 0);
    listen_end();
}

static void test_strongswan_listener_a_rekeying_is_an_epoch_and_the_new_object_is_ours_too(void)
{
    ike_sa_t *sa, *newer;

    listen_begin();
    sa = established(false, true);
    CU_ASSERT_TRUE(next_post());
    newer = new_sa(true); /* the server began this one */
    fake(newer)->keymat.get_skd = get_skd;
    keys_of("sha1");
    CU_ASSERT_TRUE(listener->ike_rekey(listener, sa, newer));
    CU_ASSERT_TRUE_FATAL(next_post());
    CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_EPOCH);
    CU_ASSERT_EQUAL(post.host, 1);
    CU_ASSERT_EQUAL(post.role, JUMP_SERVER); /* the session's, whoever began the rekeying */
    CU_ASSERT_TRUE(secret_is("sha1"));
    CU_ASSERT_TRUE(newer->update_hosts == sa->update_hosts);
    CU_ASSERT_TRUE(listener->ike_updown(listener, sa, FALSE)); /* the old one goes: nothing ended */
    destroyed(sa);
    CU_ASSERT_FALSE(next_post());
    CU_ASSERT_TRUE(listener->ike_updown(listener, newer, FALSE));
    CU_ASSERT_TRUE_FATAL(next_post());
    CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_CLOSE);
    CU_ASSERT_EQUAL(post.host, 1);
    CU_ASSERT_EQUAL(post.role, JUMP_SERVER);
    jump_swan_peer_end(swan, 1, false, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
    destroyed(newer);
    CU_ASSERT_TRUE(table_is_empty());
    CU_ASSERT_FALSE(next_post()); /* the core has heard of it */
    listen_end();
}

static void test_strongswan_listener_an_object_that_goes_without_a_word_closes_its_session(void)
{
    ike_sa_t *sa;

    listen_begin();
    sa = established(true, true);
    CU_ASSERT_TRUE(next_post());
    for (ike_sa_state_t state = IKE_CREATED; state < IKE_DESTROYING; state++)
        CU_ASSERT_TRUE(listener->ike_state_change(listener, sa, state));
    CU_ASSERT_FALSE(next_post());
    destroyed(sa);
    CU_ASSERT_TRUE_FATAL(next_post());
    CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_CLOSE);
    CU_ASSERT_EQUAL(swan->by_sa->get_count(swan->by_sa), 0);
    CU_ASSERT_FALSE(table_is_empty()); /* until the core has ended it */
    jump_swan_peer_end(swan, 1, false, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
    CU_ASSERT_TRUE(table_is_empty());
    listen_end();
}

static status_t somebody_elses_roam(ike_sa_t *this, bool address)
{
    (void)this, (void)address;
    return FAILED;
}

static void test_strongswan_listener_where_there_can_be_no_session_the_ike_sa_is_closed(void)
{
    ike_sa_t *sa, *newer;

    listen_begin();
    skd_prf = PRF_UNDEFINED;
    sa = established(true, true);
    CU_ASSERT_EQUAL(jobs_len, 1);
    CU_ASSERT_TRUE(sa->update_hosts == sa_update_hosts);
    keys_of("sha256");
    sa = new_sa(true);
    sa->roam = somebody_elses_roam;
    fake(sa)->extensions = JUMP_SWAN_EXT_SPEAKS;
    fake(sa)->keymat.get_skd = get_skd;
    CU_ASSERT_TRUE(listener->ike_updown(listener, sa, TRUE));
    CU_ASSERT_EQUAL(jobs_len, 2);
    CU_ASSERT_TRUE(table_is_empty());
    CU_ASSERT_FALSE(next_post());
    sa = established(true, true);
    CU_ASSERT_TRUE(next_post());
    CU_ASSERT_EQUAL(jobs_len, 2);
    skd_prf = PRF_UNDEFINED;
    newer = new_sa(true);
    fake(newer)->keymat.get_skd = get_skd;
    CU_ASSERT_TRUE(listener->ike_rekey(listener, sa, newer));
    CU_ASSERT_EQUAL(jobs_len, 3);
    CU_ASSERT_FALSE(next_post());
    CU_ASSERT_EQUAL(lines, 3); /* each is said */
    listen_end();
}

static void test_strongswan_listener_A36_without_memory_a_handshake_is_refused_and_nothing_is_left_of_it(void)
{
    listen_begin();
    for (int left = 0; left < 3; left++) { /* the peer, what ends it, what opens it */
        ike_sa_t *sa = new_sa(true);

        fake(sa)->keymat.get_skd = get_skd;
        fake(sa)->extensions = JUMP_SWAN_EXT_SPEAKS;
        allocations_left = left;
        CU_ASSERT_TRUE(listener->ike_updown(listener, sa, TRUE));
        CU_ASSERT_EQUAL(jobs_len, 1 + (unsigned)left); /* deletes its IKE_SA */
        CU_ASSERT_EQUAL(lines, 1 + (unsigned)left);
        destroyed(sa);
        allocations_left = -1;
        CU_ASSERT_EQUAL(next_post(), left == 2);
        if (left < 2)
            CU_ASSERT_TRUE(table_is_empty());
    }
    CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_CLOSE);
    jump_swan_peer_end(swan, post.host, false, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE); /* the core knows none */
    CU_ASSERT_TRUE(table_is_empty());
    listen_end();
}

static void test_strongswan_listener_A36_an_end_needs_no_memory_and_a_rekeying_without_any_is_refused(void)
{
    ike_sa_t *sa, *newer;

    listen_begin();
    sa = established(false, true);
    CU_ASSERT_TRUE(next_post());
    allocations_left = 0;
    newer = new_sa(false);
    fake(newer)->keymat.get_skd = get_skd;
    CU_ASSERT_TRUE(listener->ike_rekey(listener, sa, newer));
    CU_ASSERT_FALSE(next_post());
    CU_ASSERT_EQUAL(jobs_len, 1);
    CU_ASSERT_EQUAL(lines, 1);
    destroyed(newer);
    CU_ASSERT_TRUE_FATAL(next_post());
    CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_CLOSE);
    CU_ASSERT_EQUAL(post.host, 1);
    CU_ASSERT_EQUAL(post.role, JUMP_SERVER);
    CU_ASSERT_TRUE(listener->ike_updown(listener, sa, FALSE));
    CU_ASSERT_FALSE(next_post()); /* once */
    allocations_left = -1;
    jump_swan_peer_end(swan, 1, false, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
    destroyed(sa);
    CU_ASSERT_TRUE(table_is_empty());
    listen_end();
}

static void test_strongswan_listener_changed_networks_are_told_once_and_to_a_client_alone(void)
{
    listen_begin();
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_TRUE(kernel_listener->roam(kernel_listener, i % 2));
    CU_ASSERT_TRUE(next_post());
    CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_NETWORKS);
    CU_ASSERT_FALSE(next_post());
    swan->networks_posted = false; /* the session thread took it */
    CU_ASSERT_TRUE(kernel_listener->roam(kernel_listener, TRUE));
    CU_ASSERT_TRUE(next_post());
    swan->networks_posted = false;
    swan->client.open = false;
    CU_ASSERT_TRUE(kernel_listener->roam(kernel_listener, TRUE));
    CU_ASSERT_FALSE(next_post());
    listen_end();
}

/* --- one user in two places --------------------------------------------------------------------------------------- */

static ike_sa_t *older[3];
static unsigned older_len;
static enum { BY_CONTACT, BY_REPLACE, BY_KEEP } policy;

static bool tell_alert(ike_sa_t *sa, ...)
{
    va_list none;
    bool stays;

    va_start(none, sa);
    stays = listener->alert(listener, sa, ALERT_UNIQUE_REPLACE, none);
    va_end(none);
    return stays;
}

/* As charon's own: INITIAL_CONTACT ends and destroys, `replace` alerts and deletes or, at the same address, waits. */
static bool charons_check(ike_sa_manager_t *this, ike_sa_t *sa, bool force_replace)
{
    CU_ASSERT_PTR_EQUAL(this, charon->ike_sa_manager);
    CU_ASSERT_EQUAL(force_replace, policy == BY_CONTACT);
    for (unsigned i = 0; i < older_len; i++) {
        if (policy == BY_CONTACT) {
            CU_ASSERT_TRUE(listener->ike_updown(listener, older[i], FALSE));
            destroyed(older[i]);
        } else if (policy == BY_REPLACE) {
            CU_ASSERT_TRUE(tell_alert(older[i]));
            if (!sa->get_other_host(sa)->equals(sa->get_other_host(sa), older[i]->get_other_host(older[i])))
                CU_ASSERT_TRUE(listener->ike_state_change(listener, older[i], IKE_DELETING));
        }
    }
    return policy == BY_KEEP && older_len > 0;
}

static void unique_begin(void)
{
    fake_manager.check_uniqueness = charons_check;
    older_len = 0;
    listen_begin();
    CU_ASSERT_TRUE(fake_manager.check_uniqueness != charons_check);
}

static void unique_end(void)
{
    listen_end();
    CU_ASSERT_TRUE(fake_manager.check_uniqueness == charons_check);
    fake_manager.check_uniqueness = NULL;
}

/* A server's session of this user, its OPEN taken. */
static ike_sa_t *living(const char *user)
{
    ike_sa_t *sa = new_sa(false);

    fake(sa)->peer->destroy(fake(sa)->peer);
    fake(sa)->peer = identification_create_from_string((char *)user);
    fake(sa)->keymat.get_skd = get_skd;
    fake(sa)->extensions = JUMP_SWAN_EXT_SPEAKS;
    CU_ASSERT_TRUE(listener->ike_updown(listener, sa, TRUE));
    CU_ASSERT_TRUE_FATAL(next_post());
    CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_OPEN);
    older[older_len++] = sa;
    return sa;
}

/* Somebody authenticates as peer@lab, at this port of the address where all of them are. @return as charon has it */
static bool comes(uint16_t port)
{
    ike_sa_t *sa = new_sa(false);

    fake(sa)->other->destroy(fake(sa)->other);
    fake(sa)->other = host_of("203.0.113.7", port);
    return charon->ike_sa_manager->check_uniqueness(charon->ike_sa_manager, sa, policy == BY_CONTACT);
}

/* True if the next post is this session's AGAIN, of a newcomer at this port. */
static bool again(jump_host host, uint16_t port, bool stays)
{
    return next_post() && post.kind == JUMP_SWAN_POST_AGAIN && post.role == JUMP_SERVER && post.host == host
           && post.remote.port == port && memcmp(post.remote.ip + 12, "\xcb\x00\x71\x07", 4) == 0 && post.stays == stays;
}

static bool closes(jump_host host)
{
    return next_post() && post.kind == JUMP_SWAN_POST_CLOSE && post.host == host;
}

static void test_strongswan_listener_who_comes_by_initial_contact_is_told_before_the_session_s_end(void)
{
    unique_begin();
    policy = BY_CONTACT;
    (void)living("peer@lab");
    CU_ASSERT_FALSE(comes(4500)); /* from wherever, its own address too: it lost its state, or is another */
    CU_ASSERT_TRUE(again(1, 4500, false));
    CU_ASSERT_TRUE(closes(1));
    CU_ASSERT_FALSE(next_post());
    unique_end();
}

static void test_strongswan_listener_A36_who_comes_again_without_memory_ends_the_session_all_the_same(void)
{
    unique_begin();
    policy = BY_CONTACT;
    (void)living("peer@lab");
    allocations_left = 0;
    CU_ASSERT_FALSE(comes(7));
    allocations_left = -1;
    CU_ASSERT_TRUE(closes(1)); /* and is not counted */
    CU_ASSERT_FALSE(next_post());
    unique_end();
}

static void test_strongswan_listener_one_newcomer_is_one_whatever_it_ends(void)
{
    ike_sa_t *newer;

    unique_begin();
    policy = BY_CONTACT;
    (void)living("peer@lab");
    newer = new_sa(false);
    fake(newer)->keymat.get_skd = get_skd;
    CU_ASSERT_TRUE(listener->ike_rekey(listener, older[0], newer));
    CU_ASSERT_TRUE(next_post());
    older[older_len++] = newer; /* the old object is still there */
    (void)living("peer@lab");   /* `no`, without INITIAL_CONTACT */
    CU_ASSERT_FALSE(comes(7));
    for (unsigned seen = 0; next_post();) {
        seen += post.kind == JUMP_SWAN_POST_AGAIN;
        CU_ASSERT_EQUAL(seen, 1);
    }
    older_len = 0;
    CU_ASSERT_FALSE(comes(7)); /* with nobody there */
    CU_ASSERT_FALSE(next_post());
    unique_end();
}

static void test_strongswan_listener_replace_is_told_at_the_alert_and_a_reauthentication_is_not(void)
{
    ike_sa_t *sa;

    unique_begin();
    policy = BY_REPLACE;
    sa = living("peer@lab");
    CU_ASSERT_FALSE(comes(4500)); /* from its own address */
    CU_ASSERT_FALSE(next_post());
    CU_ASSERT_TRUE(listener->ike_updown(listener, sa, FALSE)); /* ten seconds later */
    CU_ASSERT_TRUE(closes(1));
    CU_ASSERT_FALSE(next_post());
    older_len = 0;
    sa = living("peer@lab");
    CU_ASSERT_FALSE(comes(4501)); /* from behind the same NAT */
    CU_ASSERT_TRUE(again(2, 4501, false));
    CU_ASSERT_FALSE(next_post());
    CU_ASSERT_TRUE(listener->ike_updown(listener, sa, FALSE)); /* its peer has answered the DELETE */
    CU_ASSERT_TRUE(closes(2));
    CU_ASSERT_FALSE(next_post());
    unique_end();
}

static void test_strongswan_listener_keep_is_told_too_and_names_the_session_that_stays(void)
{
    unique_begin();
    policy = BY_KEEP;
    (void)living("other@lab");
    older_len = 0;
    (void)living("peer@lab");
    CU_ASSERT_TRUE(comes(7));
    CU_ASSERT_TRUE(again(2, 7, true));
    CU_ASSERT_FALSE(next_post());
    jump_swan_peer_end(swan, 2, false, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
    CU_ASSERT_TRUE(comes(7)); /* the session is over, and only its IKE_SA is still there */
    CU_ASSERT_FALSE(next_post());
    unique_end();
}

static void test_strongswan_listener_what_ends_for_other_reasons_is_nobody_s_coming_again(void)
{
    ike_sa_t *sa, *newer;

    unique_begin();
    policy = BY_REPLACE;
    sa = living("peer@lab");
    older_len = 0;
    CU_ASSERT_FALSE(comes(7)); /* `never`, or `no` without INITIAL_CONTACT: both go on */
    CU_ASSERT_FALSE(next_post());
    CU_ASSERT_TRUE(tell_alert(sa)); /* in no check */
    CU_ASSERT_TRUE(tell_alert(NULL));
    newer = new_sa(false);
    fake(newer)->keymat.get_skd = get_skd;
    CU_ASSERT_TRUE(listener->ike_rekey(listener, sa, newer)); /* a rekeying */
    CU_ASSERT_TRUE(next_post());
    CU_ASSERT_EQUAL(post.kind, JUMP_SWAN_POST_EPOCH);
    destroyed(sa);
    CU_ASSERT_FALSE(next_post());
    CU_ASSERT_TRUE(listener->ike_updown(listener, newer, FALSE)); /* the peer's DELETE, before it comes again */
    CU_ASSERT_TRUE(closes(1));
    older[older_len++] = newer;
    policy = BY_CONTACT;
    jump_swan_peer_end(swan, 1, false, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
    CU_ASSERT_FALSE(comes(7)); /* its session is over */
    CU_ASSERT_FALSE(next_post());
    older_len = 0;
    older[older_len++] = established(true, true); /* a client's own session is none of the gateway's */
    CU_ASSERT_TRUE(next_post());
    CU_ASSERT_FALSE(comes(7));
    CU_ASSERT_TRUE(closes(2));
    CU_ASSERT_FALSE(next_post());
    unique_end();
}

#define TESTS(X)                                                                               \
    X(test_strongswan_listener_a_client_announces_in_the_request_with_its_identity_alone)      \
    X(test_strongswan_listener_a_server_answers_who_announced_and_nobody_else)                 \
    X(test_strongswan_listener_only_the_very_notify_in_its_place_is_an_announcement)           \
    X(test_strongswan_listener_established_and_announced_is_a_session_with_the_references_secret) \
    X(test_strongswan_listener_without_announcement_or_role_nothing_is_touched)                \
    X(test_strongswan_listener_a_rekeying_is_an_epoch_and_the_new_object_is_ours_too)          \
    X(test_strongswan_listener_an_object_that_goes_without_a_word_closes_its_session)          \
    X(test_strongswan_listener_where_there_can_be_no_session_the_ike_sa_is_closed)             \
    X(test_strongswan_listener_A36_without_memory_a_handshake_is_refused_and_nothing_is_left_of_it) \
    X(test_strongswan_listener_A36_an_end_needs_no_memory_and_a_rekeying_without_any_is_refused) \
    X(test_strongswan_listener_changed_networks_are_told_once_and_to_a_client_alone)           \
    X(test_strongswan_listener_who_comes_by_initial_contact_is_told_before_the_session_s_end)  \
    X(test_strongswan_listener_A36_who_comes_again_without_memory_ends_the_session_all_the_same) \
    X(test_strongswan_listener_one_newcomer_is_one_whatever_it_ends)                           \
    X(test_strongswan_listener_replace_is_told_at_the_alert_and_a_reauthentication_is_not)     \
    X(test_strongswan_listener_keep_is_told_too_and_names_the_session_that_stays)              \
    X(test_strongswan_listener_what_ends_for_other_reasons_is_nobody_s_coming_again)
RUN_TESTS("strongswan_listener", TESTS)
