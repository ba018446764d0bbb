/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session's IKE_SAs: the table of them (peers.c), what charon does to them by itself (methods.c), and how they follow
 * the core's word (rebind.c). Read next: fake_charon.h, adapters/strongswan/adapter.h.
 */
#include "fake_charon.h"
#include "without_memory.h"

static struct jump_path path_of(const char *address, uint16_t port)
{
    host_t *host = host_of(address, port);
    struct jump_path path;

    jump_swan_path_from_host(&path, host);
    host->destroy(host);
    return path;
}

/* A session with one IKE_SA whose methods are ours. */
static jump_host add(ike_sa_t *sa, enum jump_role role)
{
    jump_host host;

    CU_ASSERT_TRUE_FATAL(jump_swan_methods_install(sa));
    host = jump_swan_peer_add(swan, sa, role);
    CU_ASSERT_NOT_EQUAL_FATAL(host, 0);
    return host;
}

static jump_host rekeyed(ike_sa_t *old, ike_sa_t *sa)
{
    CU_ASSERT_TRUE_FATAL(jump_swan_methods_install(sa));
    CU_ASSERT_TRUE_FATAL(jump_swan_peer_rekeyed(swan, old, sa));
    return jump_swan_peer_host(swan, sa);
}

/* No NAT: the server sees the client where it is. */
static void bind_to(jump_host host, const char *local, uint16_t local_port, const char *remote, uint16_t remote_port)
{
    struct jump_path from = path_of(local, local_port), to = path_of(remote, remote_port);
    struct jump_swan_peer peer = {.role = JUMP_SERVER};

    (void)jump_swan_peer_get(swan, host, &peer); /* unknown: nothing is bound */
    jump_swan_peer_bind(swan, host, &from, &to, peer.role == JUMP_CLIENT ? &from : &to);
}

/* Where it is already. */
static void bind_there(jump_host host)
{
    bind_to(host, "198.51.100.1", 4500, "203.0.113.7", 4500);
}

static bool is_newest(ike_sa_t *sa, jump_host wanted)
{
    enum jump_role role;
    jump_host host = 0;

    return jump_swan_peer_of(swan, sa, &host, &role) && host == wanted;
}

static bool known(jump_host host)
{
    struct jump_swan_peer copy;

    return jump_swan_peer_get(swan, host, &copy);
}

static struct jump_swan_object *object_of(ike_sa_t *sa)
{
    struct jump_swan_peer *peer = swan->by_sa->get(swan->by_sa, sa);

    for (size_t i = 0; peer != NULL && i < peer->objects_len; i++)
        if (peer->objects[i].sa == sa)
            return &peer->objects[i];
    return NULL;
}

static void gone(ike_sa_t *sa)
{
    (void)jump_swan_peer_object_gone(swan, sa);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static void test_strongswan_sessions_the_newest_object_is_the_first_and_four_is_the_most(void)
{
    ike_sa_t *sa[6];
    jump_host host;

    begin();
    for (unsigned i = 0; i < 6; i++)
        sa[i] = new_sa(true);
    host = add(sa[0], JUMP_CLIENT);
    for (unsigned i = 1; i < JUMP_SWAN_OBJECTS; i++) {
        CU_ASSERT_TRUE(jump_swan_peer_rekeyed(swan, sa[i - 1], sa[i]));
        CU_ASSERT_EQUAL(jump_swan_peer_host(swan, sa[i]), host);
        CU_ASSERT_TRUE(is_newest(sa[i], host));
        CU_ASSERT_FALSE(is_newest(sa[i - 1], host));
    }
    CU_ASSERT_FALSE(jump_swan_peer_rekeyed(swan, sa[3], sa[4])); /* no room */
    CU_ASSERT_FALSE(jump_swan_peer_rekeyed(swan, sa[5], sa[4])); /* of no session of ours */
    CU_ASSERT_TRUE(is_newest(sa[3], host));
    CU_ASSERT_FALSE(is_newest(sa[4], host));
    CU_ASSERT_FALSE(jump_swan_peer_object_gone(swan, sa[1])); /* in between */
    CU_ASSERT_FALSE(jump_swan_peer_object_gone(swan, sa[1]));
    CU_ASSERT_FALSE(jump_swan_peer_object_gone(swan, sa[4]));
    CU_ASSERT_TRUE(is_newest(sa[3], host));
    CU_ASSERT_TRUE(jump_swan_peer_rekeyed(swan, sa[3], sa[4])); /* there is room again */
    CU_ASSERT_TRUE(jump_swan_peer_object_gone(swan, sa[4]));
    CU_ASSERT_TRUE(is_newest(sa[3], host));
    CU_ASSERT_TRUE(jump_swan_peer_object_gone(swan, sa[3]));
    CU_ASSERT_TRUE(is_newest(sa[2], host));
    CU_ASSERT_FALSE(jump_swan_peer_object_gone(swan, sa[0]));
    CU_ASSERT_TRUE(jump_swan_peer_object_gone(swan, sa[2]));
    CU_ASSERT_TRUE(known(host)); /* the core still has it */
    jump_swan_peer_end(swan, host, false, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
    CU_ASSERT_FALSE(known(host));
    CU_ASSERT_TRUE(table_is_empty());
    end();
}

static void test_strongswan_sessions_a_peer_lives_until_the_core_and_its_last_object_are_gone(void)
{
    begin();
    for (unsigned destroy = 0; destroy < 2; destroy++) {
        ike_sa_t *old = new_sa(false), *newer = new_sa(false), *alone = new_sa(false), *late = new_sa(false);
        jump_host first = add(old, JUMP_SERVER), second;

        CU_ASSERT_EQUAL(rekeyed(old, newer), first);
        second = add(alone, JUMP_SERVER);
        CU_ASSERT_NOT_EQUAL(first, second);
        jump_swan_peer_end(swan, first, destroy, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
        CU_ASSERT_TRUE(known(first));
        CU_ASSERT_FALSE(is_newest(newer, first)); /* nothing more is posted for it */
        CU_ASSERT_TRUE(jump_swan_peer_rekeyed(swan, newer, late)); /* it ends with the others */
        gone(late);
        gone(newer);
        CU_ASSERT_TRUE(known(first));
        gone(old);
        CU_ASSERT_FALSE(known(first));
        CU_ASSERT_TRUE(known(second));
        gone(alone);
        CU_ASSERT_TRUE(known(second));
        jump_swan_peer_end(swan, second, destroy, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
        CU_ASSERT_TRUE(table_is_empty());
        jump_swan_peer_end(swan, second, destroy, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE); /* said twice */
        CU_ASSERT_EQUAL(jobs_len, 1); /* where there were objects: to end them, or for what an old one was to do */
        run_jobs(); /* and by then they are gone */
    }
    CU_ASSERT_STRING_EQUAL(came_back, "");
    end();
}

static void test_strongswan_sessions_what_is_left_at_the_end_is_freed_with_the_table(void)
{
    ike_sa_t *sa;

    begin();
    sa = new_sa(true);
    (void)add(sa, JUMP_CLIENT);
    (void)rekeyed(sa, new_sa(true));
    end(); /* the leak check looks */
}

static void test_strongswan_sessions_one_job_for_all_that_was_said_since_the_last_one_looked(void)
{
    ike_sa_t *sa;
    jump_host host;

    begin();
    sa = new_sa(true);
    host = add(sa, JUMP_CLIENT);
    CU_ASSERT_EQUAL(jobs_len, 0);
    for (unsigned i = 0; i < 5; i++)
        bind_there(host);
    CU_ASSERT_EQUAL(jobs_len, 1);
    jump_swan_peer_unbind(swan, host); /* asks for nothing: who calls a method sees it */
    CU_ASSERT_EQUAL(jobs_len, 1);
    run_jobs();
    jump_swan_peer_unbind(swan, host);
    CU_ASSERT_EQUAL(jobs_len, 0);
    bind_there(host);
    jump_swan_peer_end(swan, host, true, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED, JUMP_REASON_NONE);
    CU_ASSERT_EQUAL(jobs_len, 1);
    bind_there(host); /* too late */
    run_jobs();
    CU_ASSERT_STRING_EQUAL(came_back, "aA");
    CU_ASSERT_EQUAL(fake(sa)->done.delete, 1);
    CU_ASSERT_TRUE(fake(sa)->forced);
    gone(sa);
    CU_ASSERT_TRUE(table_is_empty());
    bind_there(host);
    jump_swan_peer_unbind(swan, host);
    CU_ASSERT_EQUAL(jobs_len, 0);
    end();
}

/* A job took the ids before the rekeying had made the new object: that one is where the session was, and nobody else would
 * move it. */
static void test_strongswan_sessions_the_object_of_a_rekeying_follows_a_move_that_was_under_way(void)
{
    ike_sa_t *old, *newer;
    jump_host host;

    begin();
    old = new_sa(true);
    newer = new_sa(true);
    host = add(old, JUMP_CLIENT);
    bind_to(host, "198.51.100.9", 4500, "203.0.113.7", 4500);
    run_jobs();
    CU_ASSERT_EQUAL(fake(old)->done.update_hosts, 1);
    CU_ASSERT_EQUAL(rekeyed(old, newer), host);
    run_jobs();
    CU_ASSERT_EQUAL(fake(newer)->done.update_hosts, 1);
    CU_ASSERT_TRUE(fake(newer)->me->equals(fake(newer)->me, fake(old)->me));
    jump_swan_peer_unbind(swan, host);
    CU_ASSERT_EQUAL(rekeyed(newer, new_sa(true)), host);
    CU_ASSERT_EQUAL(jobs_len, 0); /* it has no place to be */
    end();
}

/* --- methods ------------------------------------------------------------------------------------------------------ */

/* The phases in turn; the session is the first object's. */
static void put_into(jump_host host, enum jump_swan_phase phase)
{
    struct jump_swan_peer *peer = swan->by_host->get(swan->by_host, (void *)(uintptr_t)host);

    CU_ASSERT_PTR_NOT_NULL_FATAL(peer);
    peer->phase = phase;
}

static void test_strongswan_sessions_only_the_core_moves_an_object_until_its_session_is_over(void)
{
    host_t *elsewhere;
    ike_sa_t *sa, *stranger;
    jump_host host;

    begin();
    sa = new_sa(true);
    stranger = new_sa(true); /* installed, and of no session (its peer is freed) */
    host = add(sa, JUMP_CLIENT);
    CU_ASSERT_TRUE(jump_swan_methods_install(stranger));
    elsewhere = host_of("192.0.2.66", 6666);
    for (enum jump_swan_phase phase = JUMP_SWAN_BIRTH; phase <= JUMP_SWAN_ENDED; phase++) {
        bool free = phase == JUMP_SWAN_ENDED;

        memset(&fake(sa)->done, 0, sizeof fake(sa)->done);
        put_into(host, phase);
        sa->update_hosts(sa, elsewhere, elsewhere, 0);
        CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, free);
        CU_ASSERT_EQUAL(sa->roam(sa, TRUE), SUCCESS);
        CU_ASSERT_EQUAL(fake(sa)->done.roam, free);
        CU_ASSERT_EQUAL(sa->send_dpd(sa), SUCCESS);
        CU_ASSERT_EQUAL(fake(sa)->done.send_dpd, free);
    }
    stranger->update_hosts(stranger, elsewhere, elsewhere, 0);
    CU_ASSERT_EQUAL(fake(stranger)->done.update_hosts, 1);
    jump_swan = NULL; /* the plugin was closed */
    put_into(host, JUMP_SWAN_BOUND);
    memset(&fake(sa)->done, 0, sizeof fake(sa)->done);
    sa->update_hosts(sa, elsewhere, elsewhere, 0);
    (void)sa->retransmit(sa, 1);
    (void)sa->delete(sa, FALSE);
    (void)sa->roam(sa, FALSE);
    (void)sa->send_dpd(sa);
    (void)sa->rekey(sa);
    (void)sa->reauth(sa);
    (void)sa->rekey_child_sa(sa, PROTO_ESP, 1);
    (void)sa->delete_child_sa(sa, PROTO_ESP, 1, FALSE);
    CU_ASSERT_STRING_EQUAL(fake(sa)->order + strlen(fake(sa)->order) - 9, "utdopkaKD");
    elsewhere->destroy(elsewhere);
    end();
}

static void test_strongswan_sessions_a_retransmission_is_swallowed_only_where_there_is_no_path(void)
{
    ike_sa_t *sa;
    jump_host host;

    begin();
    sa = new_sa(true);
    host = add(sa, JUMP_CLIENT);
    fake(sa)->answer = DESTROY_ME; /* charon's own verdict comes through */
    for (enum jump_swan_phase phase = JUMP_SWAN_BIRTH; phase <= JUMP_SWAN_ENDED; phase++) {
        bool swallowed = phase == JUMP_SWAN_UNBOUND;

        fake(sa)->done.retransmit = 0;
        put_into(host, phase);
        CU_ASSERT_EQUAL(sa->retransmit(sa, 40 + phase), swallowed ? SUCCESS : DESTROY_ME);
        CU_ASSERT_EQUAL(fake(sa)->done.retransmit, !swallowed);
        CU_ASSERT_EQUAL(object_of(sa)->swallowed, phase >= JUMP_SWAN_UNBOUND);
    }
    CU_ASSERT_EQUAL(object_of(sa)->message_id, 40 + JUMP_SWAN_UNBOUND);
    put_into(host, JUMP_SWAN_UNBOUND);
    fake(sa)->state = IKE_DELETING; /* somebody ended it just before: no answer can come */
    CU_ASSERT_EQUAL(sa->retransmit(sa, 50), DESTROY_ME);
    CU_ASSERT_TRUE(fake(sa)->forced);
    end();
}

static void test_strongswan_sessions_a_rekeyed_object_is_not_deleted_where_there_is_no_path(void)
{
    ike_sa_t *old, *newer;
    jump_host host;

    begin();
    old = new_sa(false);
    newer = new_sa(false);
    host = add(old, JUMP_SERVER);
    (void)rekeyed(old, newer);
    fake(old)->state = IKE_REKEYED;
    put_into(host, JUMP_SWAN_UNBOUND);
    CU_ASSERT_EQUAL(old->delete(old, FALSE), SUCCESS);
    CU_ASSERT_EQUAL(fake(old)->done.delete, 0);
    CU_ASSERT_EQUAL(object_of(old)->wants, JUMP_SWAN_WANT_DELETE);
    (void)old->delete(old, TRUE); /* somebody means it */
    CU_ASSERT_EQUAL(fake(old)->done.delete, 1);
    (void)newer->delete(newer, FALSE); /* the same, and no answer can come */
    CU_ASSERT_EQUAL(fake(newer)->done.delete, 1);
    CU_ASSERT_TRUE(fake(newer)->forced);
    put_into(host, JUMP_SWAN_BOUND);
    (void)newer->delete(newer, FALSE);
    CU_ASSERT_FALSE(fake(newer)->forced);
    (void)old->delete(old, FALSE);
    CU_ASSERT_EQUAL(fake(old)->done.delete, 2);
    end();
}

/* No session dies in a hole for the age of its key. */
static void test_strongswan_sessions_a_hard_lifetime_waits_for_the_path_too(void)
{
    ike_sa_t *sa;
    jump_host host;

    begin();
    sa = new_sa(true);
    host = add(sa, JUMP_CLIENT);
    put_into(host, JUMP_SWAN_UNBOUND);
    fake(sa)->delete_at = (uint32_t)time_monotonic(NULL);
    CU_ASSERT_EQUAL(sa->delete(sa, FALSE), SUCCESS);
    CU_ASSERT_EQUAL(fake(sa)->done.delete, 0);
    CU_ASSERT_EQUAL(object_of(sa)->wants, JUMP_SWAN_WANT_REKEY);
    CU_ASSERT_EQUAL(scheduled, 1); /* and it comes again */
    fake(sa)->delete_at = (uint32_t)time_monotonic(NULL) + 3600; /* it is not that: somebody ends it */
    (void)sa->delete(sa, FALSE);
    CU_ASSERT_EQUAL(fake(sa)->done.delete, 1);
    CU_ASSERT_TRUE(fake(sa)->forced);
    fake(sa)->delete_at = (uint32_t)time_monotonic(NULL);
    object_of(sa)->wants = 0; /* taken up */
    put_into(host, JUMP_SWAN_BOUND);
    (void)sa->delete(sa, FALSE);
    CU_ASSERT_EQUAL(fake(sa)->done.delete, 2);
    CU_ASSERT_FALSE(fake(sa)->forced);
    CU_ASSERT_EQUAL(scheduled, 1);
    end();
}

static void test_strongswan_sessions_what_falls_due_without_a_path_is_collected(void)
{
    ike_sa_t *sa;
    struct jump_swan_object *object;
    jump_host host;

    begin();
    sa = new_sa(true);
    host = add(sa, JUMP_CLIENT);
    object = object_of(sa);
    CU_ASSERT_EQUAL(sa->rekey(sa), SUCCESS); /* at birth too: the core has not said where */
    CU_ASSERT_EQUAL(object->wants, JUMP_SWAN_WANT_REKEY);
    put_into(host, JUMP_SWAN_UNBOUND);
    CU_ASSERT_EQUAL(sa->reauth(sa), SUCCESS);
    CU_ASSERT_EQUAL(object->wants, JUMP_SWAN_WANT_REKEY | JUMP_SWAN_WANT_REAUTH);
    for (uint32_t spi = 1; spi < JUMP_SWAN_CHILD_WANTS; spi++) {
        CU_ASSERT_EQUAL(sa->rekey_child_sa(sa, PROTO_ESP, spi), SUCCESS);
        CU_ASSERT_EQUAL(sa->rekey_child_sa(sa, PROTO_ESP, spi), SUCCESS); /* once is enough */
    }
    CU_ASSERT_EQUAL(sa->delete_child_sa(sa, PROTO_ESP, 1, TRUE), SUCCESS); /* another wish than its rekeying */
    CU_ASSERT_EQUAL(object->children_len, JUMP_SWAN_CHILD_WANTS);
    CU_ASSERT_TRUE(object->children[JUMP_SWAN_CHILD_WANTS - 1].remove && object->children[JUMP_SWAN_CHILD_WANTS - 1].expired
                   && object->children[JUMP_SWAN_CHILD_WANTS - 1].spi == 1);
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "");
    (void)sa->rekey_child_sa(sa, PROTO_ESP, 99); /* one too many is done as charon would */
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "K");
    put_into(host, JUMP_SWAN_BOUND);
    (void)sa->rekey(sa);
    (void)sa->reauth(sa);
    (void)sa->rekey_child_sa(sa, PROTO_ESP, 1);
    (void)sa->delete_child_sa(sa, PROTO_ESP, 1, FALSE);
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "KkaKD");
    end();
}

static status_t somebody_elses_roam(ike_sa_t *this, bool address)
{
    (void)this, (void)address;
    return FAILED;
}

static void test_strongswan_sessions_an_object_that_somebody_else_has_changed_is_left_alone(void)
{
    ike_sa_t *sa, *changed, before;

    begin();
    sa = new_sa(true);
    changed = new_sa(true);
    CU_ASSERT_TRUE(jump_swan_methods_install(sa));
    CU_ASSERT_TRUE(sa->update_hosts != sa_update_hosts && sa->delete_child_sa != sa_delete_child);
    CU_ASSERT_TRUE(jump_swan_methods_install(sa)); /* ours already */
    CU_ASSERT_TRUE(jump_swan_real.update_hosts == sa_update_hosts);
    changed->roam = somebody_elses_roam;
    before = *changed;
    CU_ASSERT_FALSE(jump_swan_methods_install(changed));
    CU_ASSERT_EQUAL(memcmp(&before, changed, sizeof before), 0);
    end();
}

/* --- following ---------------------------------------------------------------------------------------------------- */

static void test_strongswan_sessions_an_object_is_moved_only_where_something_changed(void)
{
    ike_sa_t *sa;
    jump_host host;

    begin();
    sa = new_sa(false);
    sa->set_condition(sa, COND_NAT_THERE, TRUE);
    host = add(sa, JUMP_SERVER);
    bind_there(host);
    run_jobs();
    CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, 0);
    bind_to(host, "198.51.100.1", 4500, "192.0.2.20", 4500);
    run_jobs();
    CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, 1);
    CU_ASSERT_EQUAL(fake(sa)->flags, UPDATE_HOSTS_FORCE_ALL);
    bind_to(host, "0.0.0.0", 0, "192.0.2.20", 4500); /* the server does not choose its own */
    run_jobs();
    CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, 1);
    bind_to(host, "0.0.0.0", 0, "192.0.2.20", 20001);
    run_jobs();
    CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, 2);
    CU_ASSERT_EQUAL(fake(sa)->me->get_port(fake(sa)->me), 4500);
    CU_ASSERT_EQUAL(fake(sa)->conditions, COND_NAT_ANY | COND_NAT_THERE); /* encapsulated from the beginning: nothing to change */
    CU_ASSERT_STRING_EQUAL(came_back, "aaaa");
    end();
}

static void test_strongswan_sessions_esp_is_encapsulated_from_the_first_move_on(void)
{
    begin();
    for (unsigned role = 0; role < 2; role++) {
        ike_sa_t *sa = new_sa(role != 0), *on_500 = new_sa(role != 0);
        unsigned before = fake(sa)->conditions;
        jump_host host;

        host = add(sa, role ? JUMP_CLIENT : JUMP_SERVER);
        bind_there(host);
        run_jobs();
        CU_ASSERT_EQUAL(fake(sa)->conditions, before); /* that is where the handshake was */
        CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, 0);
        if (role)
            bind_to(host, "198.51.100.9", 4500, "203.0.113.7", 4500);
        else
            bind_to(host, "198.51.100.1", 4500, "203.0.113.9", 4500);
        run_jobs();
        CU_ASSERT_EQUAL(fake(sa)->conditions, before | COND_NAT_ANY | COND_NAT_FAKE);
        CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, 1);
        sa->set_condition(sa, COND_NAT_FAKE, FALSE); /* a task of charon's */
        sa->set_condition(sa, COND_NAT_HERE, TRUE);
        sa->set_condition(sa, COND_AUTHENTICATED, TRUE);
        CU_ASSERT_EQUAL(fake(sa)->conditions, before | COND_NAT_ANY | COND_NAT_FAKE | COND_AUTHENTICATED);
        bind_there(host);
        run_jobs();
        CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, 2); /* back, and still encapsulated */
        fake(on_500)->me->set_port(fake(on_500)->me, 500);
        fake(on_500)->other->set_port(fake(on_500)->other, 500);
        host = add(on_500, role ? JUMP_CLIENT : JUMP_SERVER);
        if (role)
            bind_to(host, "198.51.100.9", 500, "203.0.113.7", 500);
        else
            bind_to(host, "198.51.100.1", 500, "203.0.113.9", 500);
        run_jobs();
        CU_ASSERT_EQUAL(fake(on_500)->conditions, before); /* there is none on that port */
        CU_ASSERT_STRING_EQUAL(fake(on_500)->order, "u");
    }
    end();
}

static void test_strongswan_sessions_what_waited_is_taken_up_once_and_in_its_order(void)
{
    ike_sa_t *old, *sa;
    jump_host host;

    begin();
    old = new_sa(true);
    sa = new_sa(true);
    host = add(old, JUMP_CLIENT);
    (void)rekeyed(old, sa);
    drop_jobs();
    fake(old)->state = IKE_REKEYED;
    jump_swan_peer_unbind(swan, host);
    (void)old->delete(old, FALSE);
    (void)sa->rekey(sa);
    (void)sa->delete_child_sa(sa, PROTO_ESP, 5, FALSE);
    (void)sa->rekey_child_sa(sa, PROTO_ESP, 6);
    (void)sa->retransmit(sa, 17);
    CU_ASSERT_STRING_EQUAL(fake(old)->order, "");
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "");
    bind_to(host, "198.51.100.9", 4500, "203.0.113.7", 4500);
    run_jobs();
    CU_ASSERT_STRING_EQUAL(fake(old)->order, "ud");
    CU_ASSERT_FALSE(fake(old)->forced);
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "utDKk");
    CU_ASSERT_EQUAL(fake(sa)->message_id, 17);
    bind_to(host, "198.51.100.9", 4500, "203.0.113.7", 4500);
    run_jobs();
    CU_ASSERT_STRING_EQUAL(fake(old)->order, "ud");
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "utDKk");
    CU_ASSERT_STRING_EQUAL(came_back, "abab"); /* the old one first */
    end();
}

/* Keys that are due at both ends: the client begins. */
static void test_strongswan_sessions_the_server_leaves_what_is_due_to_the_client_for_a_while(void)
{
    ike_sa_t *old, *sa;
    job_t *turn;
    jump_host host;

    begin();
    old = new_sa(false);
    sa = new_sa(false);
    host = add(old, JUMP_SERVER);
    (void)rekeyed(old, sa);
    drop_jobs();
    fake(old)->state = IKE_REKEYED;
    jump_swan_peer_unbind(swan, host);
    (void)old->delete(old, FALSE);
    (void)sa->rekey(sa);
    (void)sa->rekey_child_sa(sa, PROTO_ESP, 6);
    (void)sa->retransmit(sa, 17);
    bind_to(host, "198.51.100.1", 4500, "203.0.113.9", 4500);
    run_jobs();
    CU_ASSERT_STRING_EQUAL(fake(old)->order, "ud"); /* nobody else would do these */
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "ut");
    CU_ASSERT_EQUAL(object_of(sa)->wants, JUMP_SWAN_WANT_REKEY);
    turn = later;
    later = NULL;
    fake(sa)->delete_at = (uint32_t)time_monotonic(NULL);
    (void)sa->delete(sa, FALSE); /* its hard lifetime, which also was to wait for the rekeying */
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "ut");
    CU_ASSERT_PTR_NOT_NULL(later); /* it comes again */
    DESTROY_IF(later);
    later = turn;
    jump_swan_peer_unbind(swan, host);
    now += JUMP_MS(2000);
    CU_ASSERT_EQUAL(run_timed_later(), 0);
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "ut"); /* no path again: it goes on waiting */
    bind_to(host, "198.51.100.1", 4500, "203.0.113.9", 4500);
    run_jobs();
    now += JUMP_MS(1999);
    CU_ASSERT_EQUAL(run_timed_later(), 1); /* not yet: of this binding */
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "ut");
    now += JUMP_MS(2000);
    CU_ASSERT_EQUAL(run_timed_later(), 0);
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "utKk");
    CU_ASSERT_PTR_NULL(later);
    bind_to(host, "198.51.100.1", 4500, "203.0.113.9", 4500);
    run_jobs();
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "utKk");
    CU_ASSERT_PTR_NULL(later);
    fake(sa)->delete_at = 0;
    end();
}

static void test_strongswan_sessions_a_path_that_comes_and_goes_does_not_put_it_off_for_ever(void)
{
    unsigned bindings = 0;
    ike_sa_t *sa;
    jump_host host;

    begin();
    sa = new_sa(false);
    host = add(sa, JUMP_SERVER);
    jump_swan_peer_unbind(swan, host);
    (void)sa->rekey_child_sa(sa, PROTO_ESP, 6);
    for (; fake(sa)->done.rekey_child_sa == 0 && bindings < 60; bindings++) {
        bind_there(host);
        run_jobs();
        now += JUMP_MS(1000);
        jump_swan_peer_unbind(swan, host);
        if (later != NULL && bindings % 2 == 1)
            (void)run_timed_later();
    }
    CU_ASSERT_EQUAL(bindings, 11); /* ten seconds after the first */
    end();
}

/* The client's rekeying of the IKE_SA came first: that is done, and the CHILD_SAs have moved to the new object. */
static void test_strongswan_sessions_what_the_server_put_off_goes_on_to_the_new_object(void)
{
    ike_sa_t *old, *sa;
    jump_host host;

    begin();
    old = new_sa(false);
    sa = new_sa(false);
    host = add(old, JUMP_SERVER);
    jump_swan_peer_unbind(swan, host);
    (void)old->rekey(old);
    (void)old->rekey_child_sa(old, PROTO_ESP, 6);
    bind_there(host);
    run_jobs();
    (void)rekeyed(old, sa);
    run_jobs();
    now += JUMP_MS(2000);
    (void)run_timed_later();
    CU_ASSERT_STRING_EQUAL(fake(old)->order, "");
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "K");
    end();
}

/* Two sessions with the same traffic selectors: the traffic is the newest CHILD_SA's, whichever of them loses its path when. */
static void test_strongswan_sessions_a_reqid_is_of_whom_it_came_up_with_last(void)
{
    const uint32_t reqids[] = {7, 8};
    ike_sa_t *sa, *other, *foreign;
    jump_host host;

    begin();
    sa = new_sa(false);
    other = new_sa(false);
    foreign = new_sa(false);
    host = add(sa, JUMP_SERVER);
    (void)add(other, JUMP_SERVER);
    CU_ASSERT_FALSE(jump_swan_peers_taken(swan, sa, 7));
    CU_ASSERT_FALSE(jump_swan_peers_taken(swan, other, 7)); /* nobody waits */
    jump_swan_peer_unbind(swan, host);
    CU_ASSERT_FALSE(jump_swan_peer_waits(swan, host, reqids, 1));
    CU_ASSERT_TRUE(jump_swan_peer_waits(swan, host, reqids, 2)); /* the other one has never been heard of: its own */
    CU_ASSERT_TRUE(jump_swan_peers_taken(swan, foreign, 8));
    CU_ASSERT_FALSE(jump_swan_peer_waits(swan, host, reqids, 2));
    jump_swan_peers_left(swan, sa, 7); /* not its own any more */
    CU_ASSERT_FALSE(jump_swan_peer_waits(swan, host, reqids, 1));
    jump_swan_peers_left(swan, other, 7);
    CU_ASSERT_TRUE(jump_swan_peer_waits(swan, host, reqids, 1));
    end();
}

static void test_strongswan_sessions_a_path_that_went_again_leaves_waiting_what_waited(void)
{
    ike_sa_t *sa;
    jump_host host;

    begin();
    sa = new_sa(true);
    sa->set_condition(sa, COND_NAT_HERE, TRUE);
    host = add(sa, JUMP_CLIENT);
    jump_swan_peer_unbind(swan, host);
    (void)sa->rekey(sa);
    bind_to(host, "198.51.100.9", 4500, "203.0.113.7", 4500);
    jump_swan_peer_unbind(swan, host); /* before the job ran */
    run_jobs();
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "");
    CU_ASSERT_EQUAL(object_of(sa)->wants, JUMP_SWAN_WANT_REKEY);
    bind_there(host);
    run_jobs();
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "k");
    end();
}

static void test_strongswan_sessions_an_object_that_gives_up_when_it_is_taken_up_is_destroyed(void)
{
    ike_sa_t *sa;
    jump_host host;

    begin();
    on_destroying = gone;
    sa = new_sa(true);
    host = add(sa, JUMP_CLIENT);
    jump_swan_peer_unbind(swan, host);
    (void)sa->retransmit(sa, 3);
    (void)sa->rekey_child_sa(sa, PROTO_ESP, 1);
    (void)sa->rekey(sa);
    fake(sa)->answer = DESTROY_ME; /* it was the last try */
    bind_there(host);
    run_jobs();
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "t");
    CU_ASSERT_STRING_EQUAL(came_back, "A");
    CU_ASSERT_PTR_NULL(object_of(sa));
    end();
}

static void test_strongswan_sessions_a_doomed_session_takes_all_its_objects_along(void)
{
    ike_sa_t *old, *sa, *other;
    jump_host host, ended;

    begin();
    on_destroying = gone;
    old = new_sa(false);
    sa = new_sa(false);
    other = new_sa(false);
    host = add(old, JUMP_SERVER);
    (void)rekeyed(old, sa);
    ended = add(other, JUMP_SERVER);
    drop_jobs();
    fake(old)->state = IKE_REKEYED;
    jump_swan_peer_unbind(swan, host);
    jump_swan_peer_end(swan, host, true, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED, JUMP_REASON_NONE);
    jump_swan_peer_end(swan, ended, false, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
    run_jobs();
    CU_ASSERT_STRING_EQUAL(came_back, "ABc");
    CU_ASSERT_TRUE(fake(old)->forced && fake(sa)->forced);
    CU_ASSERT_STRING_EQUAL(fake(old)->order, "d");
    CU_ASSERT_STRING_EQUAL(fake(sa)->order, "ed"); /* dpd_action counts on a server too */
    CU_ASSERT_STRING_EQUAL(fake(other)->order, ""); /* charon's own again */
    gone(other);
    CU_ASSERT_TRUE(table_is_empty());
    end();
}

/* --- beginning anew ----------------------------------------------------------------------------------------------- */

static unsigned references;
static peer_cfg_t *peer_ref(peer_cfg_t *this) { references++; return this; }
static void peer_unref(peer_cfg_t *this) { (void)this; references--; }
static child_cfg_t *child_ref(child_cfg_t *this) { references++; return this; }
static void child_unref(child_cfg_t *this) { (void)this; references--; }
static peer_cfg_t a_peer_cfg = {.get_ref = peer_ref, .destroy = peer_unref};
static child_cfg_t a_child_cfg = {.get_ref = child_ref, .destroy = child_unref};
static child_sa_t replaced_child;
static child_cfg_t *get_config(child_sa_t *this) { (void)this; return &a_child_cfg; }
static uint32_t get_reqid(child_sa_t *this) { (void)this; return 1; }
static child_sa_state_t get_child_state(child_sa_t *this) { return this == &replaced_child ? CHILD_REKEYED : CHILD_INSTALLED; }
static child_sa_t a_child = {.get_config = get_config, .get_reqid = get_reqid, .get_state = get_child_state};

static jump_time lifetime = JUMP_MS(3600000);

static enum jump_reason peer_reason; /* what the peer gave as its own */
static ike_sa_state_t last_state;
static bool deletes, reauthenticates, makes_before; /* the IKE_SA when it is doomed */
static int memory = -1; /* allocations that succeed while its job runs; -1: all */

/* A session of an hour with two children is doomed; what its client does then. @return how many children were initiated */
static unsigned after(enum jump_role role, bool reestablish, status_t charons, enum jump_reason reason, unsigned *asked)
{
    unsigned begun = initiated, destroyed = (unsigned)strlen(came_back);
    ike_sa_t *sa = new_sa(role == JUMP_CLIENT);
    jump_host host = add(sa, role);

    swan->settings.reestablish = reestablish;
    fake(sa)->reestablish_answer = charons;
    fake(sa)->peer_cfg = &a_peer_cfg;
    replaced_child = a_child;
    fake(sa)->children[0] = fake(sa)->children[1] = &a_child;
    fake(sa)->children[2] = &replaced_child;
    fake(sa)->children_len = 3;
    references = 0;
    fake(sa)->state = deletes ? IKE_DELETING : IKE_ESTABLISHED;
    fake(sa)->conditions |= reauthenticates ? COND_REAUTHENTICATING : 0;
    fake(sa)->reauth_is_active = reauthenticates && !makes_before;
    now += lifetime;
    jump_swan_peer_end(swan, host, true, reason, peer_reason);
    allocations_left = memory;
    run_jobs();
    allocations_left = -1;
    drop_jobs(); /* the one that waits, too */
    CU_ASSERT_EQUAL(came_back[destroyed], 'A' + (fake(sa) - fakes));
    CU_ASSERT_EQUAL(references, 0);
    *asked = fake(sa)->done.reestablish;
    last_state = fake(sa)->state;
    CU_ASSERT_EQUAL(fake(sa)->order[strlen(fake(sa)->order) - 1], 'd'); /* asked while it still has its children */
    return initiated - begun;
}

static void test_strongswan_sessions_a_client_begins_anew_as_configured_and_else_as_it_was(void)
{
    unsigned asked;

    begin();
    on_destroying = gone;
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, FAILED, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED, &asked), 2);
    CU_ASSERT_EQUAL(asked, 1);
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, FAILED, JUMP_REASON_UNKNOWN_SESSION, &asked), 2);
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, SUCCESS, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED, &asked), 0); /* charon does it */
    CU_ASSERT_EQUAL(asked, 1);
    peer_reason = JUMP_REASON_OPERATOR_TERMINATED;
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, FAILED, JUMP_REASON_PEER_TERMINATED, &asked), 0); /* the server meant it */
    CU_ASSERT_EQUAL(asked, 1); /* as close_action says */
    CU_ASSERT_EQUAL(last_state, IKE_DELETING);
    peer_reason = JUMP_REASON_SESSION_LIFETIME_EXCEEDED;
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, FAILED, JUMP_REASON_PEER_TERMINATED, &asked), 2); /* only a bound of the server's */
    CU_ASSERT_EQUAL(asked, 1);
    peer_reason = JUMP_REASON_NONE;
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, false, FAILED, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED, &asked), 0);
    CU_ASSERT_EQUAL(asked, 1); /* its own settings hold */
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, FAILED, JUMP_REASON_OPERATOR_TERMINATED, &asked), 0);
    CU_ASSERT_EQUAL(asked, 0); /* somebody here wants it to end */
    CU_ASSERT_EQUAL(after(JUMP_SERVER, true, FAILED, JUMP_REASON_TRANSPORT_TTL_EXCEEDED, &asked), 0);
    CU_ASSERT_EQUAL(asked, 1); /* its dpd_action counts, and nothing else */
    CU_ASSERT_EQUAL(scheduled, 0);
    CU_ASSERT_TRUE(table_is_empty());
    end();
}

static void test_strongswan_sessions_A36_without_memory_a_client_says_that_it_does_not_begin_anew(void)
{
    unsigned asked;

    begin();
    on_destroying = gone;
    memory = 0;
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, FAILED, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED, &asked), 0);
    memory = -1;
    CU_ASSERT_EQUAL(asked, 1);
    CU_ASSERT_EQUAL(lines, 1);
    CU_ASSERT_EQUAL(scheduled, 0);
    CU_ASSERT_TRUE(table_is_empty());
    end();
}

static void test_strongswan_sessions_a_reauthentication_that_deletes_first_begins_anew_however_fast_the_server_is(void)
{
    unsigned asked;

    begin();
    on_destroying = gone;
    deletes = true;
    peer_reason = JUMP_REASON_HOST_TERMINATED; /* the server has heard the DELETE, and its answer is on its way */
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, SUCCESS, JUMP_REASON_PEER_TERMINATED, &asked), 0);
    CU_ASSERT_EQUAL(asked, 0); /* somebody here wants it to end */
    reauthenticates = true;
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, SUCCESS, JUMP_REASON_PEER_TERMINATED, &asked), 0);
    CU_ASSERT_EQUAL(asked, 1);
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, SUCCESS, JUMP_REASON_OPERATOR_TERMINATED, &asked), 0);
    CU_ASSERT_EQUAL(asked, 0);
    makes_before = true; /* the newer one is there already */
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, SUCCESS, JUMP_REASON_PEER_TERMINATED, &asked), 0);
    CU_ASSERT_EQUAL(asked, 0);
    deletes = reauthenticates = makes_before = false;
    peer_reason = JUMP_REASON_NONE;
    end();
}

static void test_strongswan_sessions_clients_whose_sessions_end_young_wait_before_they_begin_anew(void)
{
    uint32_t longest = 0;
    unsigned asked;

    begin();
    on_destroying = gone;
    lifetime = JUMP_MS(2000);
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, FAILED, JUMP_REASON_UNKNOWN_SESSION, &asked), 2); /* once is no pattern */
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, SUCCESS, JUMP_REASON_UNKNOWN_SESSION, &asked), 0);
        CU_ASSERT_EQUAL(asked, 0); /* charon would at once */
        CU_ASSERT_EQUAL(scheduled, i + 1);
        CU_ASSERT_TRUE(scheduled_s >= longest && scheduled_s >= 2);
        CU_ASSERT_EQUAL(lines, i + 1);
        longest = scheduled_s;
    }
    CU_ASSERT_TRUE(longest <= 600);
    lifetime = JUMP_MS(3600000);
    CU_ASSERT_EQUAL(after(JUMP_CLIENT, true, FAILED, JUMP_REASON_UNKNOWN_SESSION, &asked), 2);
    CU_ASSERT_EQUAL(scheduled, 10);
    end();
}

#define TESTS(X)                                                                          \
    X(test_strongswan_sessions_the_newest_object_is_the_first_and_four_is_the_most)       \
    X(test_strongswan_sessions_a_peer_lives_until_the_core_and_its_last_object_are_gone)  \
    X(test_strongswan_sessions_what_is_left_at_the_end_is_freed_with_the_table)           \
    X(test_strongswan_sessions_one_job_for_all_that_was_said_since_the_last_one_looked)   \
    X(test_strongswan_sessions_the_object_of_a_rekeying_follows_a_move_that_was_under_way) \
    X(test_strongswan_sessions_only_the_core_moves_an_object_until_its_session_is_over)   \
    X(test_strongswan_sessions_a_retransmission_is_swallowed_only_where_there_is_no_path) \
    X(test_strongswan_sessions_a_rekeyed_object_is_not_deleted_where_there_is_no_path)    \
    X(test_strongswan_sessions_a_hard_lifetime_waits_for_the_path_too)                    \
    X(test_strongswan_sessions_what_falls_due_without_a_path_is_collected)                \
    X(test_strongswan_sessions_an_object_that_somebody_else_has_changed_is_left_alone)    \
    X(test_strongswan_sessions_an_object_is_moved_only_where_something_changed)           \
    X(test_strongswan_sessions_esp_is_encapsulated_from_the_first_move_on)                \
    X(test_strongswan_sessions_what_waited_is_taken_up_once_and_in_its_order)             \
    X(test_strongswan_sessions_the_server_leaves_what_is_due_to_the_client_for_a_while) \
    X(test_strongswan_sessions_a_path_that_comes_and_goes_does_not_put_it_off_for_ever) \
    X(test_strongswan_sessions_a_reqid_is_of_whom_it_came_up_with_last) \
    X(test_strongswan_sessions_what_the_server_put_off_goes_on_to_the_new_object) \
    X(test_strongswan_sessions_a_path_that_went_again_leaves_waiting_what_waited)         \
    X(test_strongswan_sessions_an_object_that_gives_up_when_it_is_taken_up_is_destroyed)  \
    X(test_strongswan_sessions_a_doomed_session_takes_all_its_objects_along)              \
    X(test_strongswan_sessions_a_client_begins_anew_as_configured_and_else_as_it_was)                \
    X(test_strongswan_sessions_a_reauthentication_that_deletes_first_begins_anew_however_fast_the_server_is) \
    X(test_strongswan_sessions_A36_without_memory_a_client_says_that_it_does_not_begin_anew) \
    X(test_strongswan_sessions_clients_whose_sessions_end_young_wait_before_they_begin_anew)
RUN_TESTS("strongswan_sessions", TESTS)
