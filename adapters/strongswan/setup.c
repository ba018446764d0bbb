/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Open and close, while charon loads and unloads its plugins: still with its privileges, the session thread not there yet
 * or gone again. Settings are strongswan.conf's, charon.plugins.jumping.* (plugins/strongswan/jumping.conf). Whatever is missing
 * ends in one line that names it, and the plugin is not there: never half of it.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "strongswan/adapter.h"

#define SETTING "%s.plugins.jumping."

static char *text(char *key, char *preset)
{
    return lib->settings->get_str(lib->settings, key, preset, lib->ns);
}

static bool read_settings(struct jump_swan_settings *s, struct jump_problem *problem)
{
    int sessions = lib->settings->get_int(lib->settings, SETTING "max_sessions", 4096, lib->ns);

    s->name = text(SETTING "name", "charon");
    s->policy = text(SETTING "policy", "mobile");
    s->state_dir = text(SETTING "state_dir", "/var/lib/jumping");
    s->run_dir = text(SETTING "run_dir", "/run/jumping");
    s->audit_dir = text(SETTING "audit_dir", "/var/log/jumping");
    s->server = lib->settings->get_bool(lib->settings, SETTING "server", TRUE, lib->ns);
    s->client = lib->settings->get_bool(lib->settings, SETTING "client", TRUE, lib->ns);
    s->reject = lib->settings->get_bool(lib->settings, SETTING "reject", TRUE, lib->ns);
    s->reestablish = lib->settings->get_bool(lib->settings, SETTING "reestablish", TRUE, lib->ns);
    if (sessions < 1 || sessions > 1000000) {
        jump_problem_set(problem, "charon.plugins.jumping.max_sessions = %d: it must be 1 .. 1000000", sessions);
        return false;
    }
    if (!s->server && !s->client) {
        jump_problem_set(problem, "charon.plugins.jumping: server = no and client = no leave nothing to do");
        return false;
    }
    s->max_sessions = (uint32_t)sessions;
    return true;
}

/* Where there are both, the client's half has a name of its own: one lock, one audit chain and one control socket for each
 * engine. */
static bool open_role(struct jump_swan *swan, struct jump_problem *problem, enum jump_role role)
{
    struct jump_swan_role *r = role == JUMP_CLIENT ? &swan->client : &swan->server;
    struct jump_instance_host host = role == JUMP_CLIENT ? jump_swan_client_host : jump_swan_server_host;
    char name[JUMP_INSTANCE_NAME_BYTES], audit[512];
    struct jump_instance_settings settings = {
        .role = role,
        .host_kind = JUMP_HOST_STRONGSWAN,
        .name = name,
        .policy = swan->settings.policy,
        .state_dir = swan->settings.state_dir,
        .audit = audit,
        .max_sessions = swan->settings.max_sessions,
        .several_servers = true,
    };
    int length = snprintf(name, sizeof name, "%s%s", swan->settings.name, role == JUMP_CLIENT && swan->settings.server ? "-client" : "");

    if (length < 0 || (size_t)length >= sizeof name || !jump_state_name_valid(name)) {
        jump_problem_set(problem, "charon.plugins.jumping.name = %s: 1 to 24 letters, digits, '.', '_' or '-'", swan->settings.name);
        return false;
    }
    length = snprintf(audit, sizeof audit, "%s/%s.jsonl", swan->settings.audit_dir, name);
    if (length < 0 || (size_t)length >= sizeof audit) {
        jump_problem_set(problem, "charon.plugins.jumping.audit_dir is too long");
        return false;
    }
    host.context = swan;
    r->open = true; /* close it, whatever comes of it */
    return jump_instance_open(&r->instance, problem, &settings, &host)
           && jump_instance_listen(&r->instance, problem, swan->settings.run_dir);
}

bool jump_swan_open(struct jump_problem *problem)
{
    struct jump_swan *swan = calloc(1, sizeof *swan);

    if (swan == NULL || sodium_init() < 0) {
        jump_problem_set(problem, swan == NULL ? "not enough memory" : "libsodium does not start");
        free(swan);
        return false;
    }
    swan->wake_fd = -1;
    swan->lock = mutex_create(MUTEX_TYPE_DEFAULT);
    swan->by_sa = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    swan->by_host = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    swan->reqids = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    swan->inbox = linked_list_create();
    swan->unopened = linked_list_create();
    swan->unopened_until = JUMP_NEVER;
    jump_swan = swan;
    if (!read_settings(&swan->settings, problem) || (swan->settings.server && !open_role(swan, problem, JUMP_SERVER))
        || (swan->settings.client && !open_role(swan, problem, JUMP_CLIENT))
        || (swan->settings.client && (swan->netlink = jump_netlink_open(problem)) == NULL)
        || !jump_swan_carrier_begin(problem, swan->settings.max_sessions)) {
        jump_swan_close();
        return false;
    }
    jump_swan_esp_begin(swan); /* before the session thread, which reads what it makes */
    if (!jump_swan_loop_begin(swan, problem)) {
        jump_swan_close();
        return false;
    }
    jump_swan_listen_begin();
    jump_swan_reject_look(swan, false); /* for what an earlier life may have left; nothing can fail any more */
    DBG1(DBG_CFG, "jumping: loaded:%s%s%s%s, policy %s, audit in %s", swan->server.open ? " server " : "",
         swan->server.instance.name, swan->client.open ? " client " : "", swan->client.instance.name, swan->settings.policy,
         swan->settings.audit_dir);
    return true;
}

/* charon has ended its IKE_SAs and its workers by now; a plugin that failed to open has none of ours. */
void jump_swan_close(void)
{
    struct jump_swan *swan = jump_swan;

    if (swan == NULL)
        return;
    if (swan->thread != NULL)
        jump_swan_listen_end();
    jump_swan_esp_end(); /* gives back what was taken, which may be nothing */
    jump_swan_loop_end(swan);
    jump_swan_carrier_end();
    jump_netlink_close(swan->netlink);
    jump_instance_close(&swan->server.instance);
    jump_instance_close(&swan->client.instance);
    jump_swan_peers_clear(swan);
    jump_swan_hold_close(swan->hold);
    swan->by_sa->destroy(swan->by_sa);
    swan->by_host->destroy(swan->by_host);
    swan->reqids->destroy(swan->reqids);
    swan->inbox->destroy(swan->inbox);
    swan->unopened->destroy(swan->unopened);
    swan->lock->destroy(swan->lock);
    jump_swan = NULL;
    sodium_memzero(swan, sizeof *swan);
    free(swan);
}
