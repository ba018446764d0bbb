/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The data path's side of a move and of a time without a path. Kernel ESP updates an SA in place. charon's userspace ESP
 * (kernel-libipsec) says that it cannot, and charon then rekeys the CHILD_SA over a path that has only just come back;
 * but libipsec itself can, so it is asked here. Without libipsec in the process nothing else here is changed.
 *
 * Of libipsec one more thing: where it looks up the policy of a packet that leaves is the one place where it
 * knows the CHILD_SA and nothing is encrypted yet. What belongs to a session without a path is kept there (hold.c) and looked
 * up again later.
 *
 * Kernel ESP: packets never come this way, jump_swan->hold is NULL; reject.c does what can be done there.
 */
#include <dlfcn.h>

#include <ipsec.h>

#include "strongswan/adapter.h"

static status_t (*real_update_sa)(kernel_interface_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data);
static ipsec_policy_t *(*real_find)(ipsec_policy_mgr_t *this, ip_packet_t *packet, bool inbound, uint32_t reqid);
static ip_packet_t *(*make_packet)(chunk_t bytes);
static ip_packet_t *(*_Atomic real_clone)(ip_packet_t *this); /* the session thread writes it, libipsec's job reads it */
static ipsec_t **userspace; /* libipsec's own pointer; NULL: it is not loaded */

static status_t update_sa(kernel_interface_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data)
{
    status_t status = real_update_sa(this, id, data);

    if (status == NOT_SUPPORTED && userspace != NULL && *userspace != NULL && data->encap && data->new_encap)
        status = (*userspace)->sas->update_sa((*userspace)->sas, id->spi, id->proto, data->cpi, id->src, id->dst,
                                              data->new_src, data->new_dst, data->encap, data->new_encap, id->mark);
    return status;
}

/* A packet that was held and is on its way has this in the place of its own `clone`: it is not held again. */
static ip_packet_t *clone_released(ip_packet_t *this)
{
    return real_clone(this);
}

static ipsec_policy_t *find_by_packet(ipsec_policy_mgr_t *this, ip_packet_t *packet, bool inbound, uint32_t reqid)
{
    ipsec_policy_t *policy = real_find(this, packet, inbound, reqid);
    struct jump_swan_post post = {.kind = JUMP_SWAN_POST_ACTIVITY, .role = JUMP_CLIENT, .sent = true};
    chunk_t bytes;
    bool held;

    if (inbound || policy == NULL || packet->clone == clone_released || jump_swan == NULL)
        return policy;
    bytes = packet->get_encoding(packet);
    held = jump_swan_hold_packet(jump_swan->hold, policy->get_reqid(policy), bytes.ptr, bytes.len, &post.host);
    if (post.host != 0)
        (void)jump_swan_post(jump_swan, &post);
    if (!held)
        return policy;
    policy->destroy(policy);
    return NULL; /* libipsec drops its packet, as it does with what no policy is for */
}

void jump_swan_esp_send(uint8_t *bytes, size_t bytes_len)
{
    ipsec_processor_t *processor = (*userspace)->processor;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the bytes are make_packet's, also where it fails */
    ip_packet_t *packet = make_packet(chunk_create(bytes, bytes_len));

    if (packet == NULL)
        return;
    real_clone = packet->clone;
    packet->clone = clone_released;
    processor->queue_outbound(processor, packet);
}

/* kernel-libipsec has brought it into the process, or it is not used: it is never loaded from here. */
static ipsec_t **find_userspace(void)
{
    void *handle = dlopen("libipsec.so.0", RTLD_LAZY | RTLD_NOLOAD);
    ipsec_t **found;

    if (handle == NULL)
        return NULL;
    found = dlsym(handle, "ipsec");
    make_packet = (ip_packet_t *(*)(chunk_t))dlsym(handle, "ip_packet_create");
    dlclose(handle);
    return found != NULL && *found != NULL && make_packet != NULL ? found : NULL;
}

/* One for each session that there can be, of each role. */
static void begin_userspace(struct jump_swan *swan)
{
    ipsec_policy_mgr_t *policies = (*userspace)->policies;
    uint32_t roles = (swan->server.open ? 1u : 0u) + (swan->client.open ? 1u : 0u);

    swan->hold = jump_swan_hold_open(swan->settings.max_sessions * roles);
    if (swan->hold == NULL) {
        DBG1(DBG_CFG, "jumping: no memory to hold what is sent while a session has no path");
        return;
    }
    real_find = policies->find_by_packet;
    policies->find_by_packet = find_by_packet;
}

void jump_swan_esp_begin(struct jump_swan *swan)
{
    userspace = find_userspace();
    real_update_sa = charon->kernel->update_sa;
    charon->kernel->update_sa = update_sa;
    jump_swan_stay_begin(userspace != NULL);
    jump_swan_mapping_begin();
    if (userspace != NULL)
        begin_userspace(swan);
    else if (swan->settings.reject)
        jump_swan_reject_begin(swan);
}

void jump_swan_esp_end(void)
{
    jump_swan_reject_end();
    jump_swan_mapping_end();
    if (charon->kernel->update_sa == update_sa)
        charon->kernel->update_sa = real_update_sa;
    jump_swan_stay_end();
    if (userspace != NULL && *userspace != NULL && (*userspace)->policies->find_by_packet == find_by_packet)
        (*userspace)->policies->find_by_packet = real_find;
}
