/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Open and close. Everything that needs privilege or the file system is opened here, before OpenVPN becomes a daemon,
 * changes its root and drops its privileges; what follows uses descriptors. All memory is sized here. Whatever is
 * missing ends in one line that names it, and OpenVPN does not start: never half of a plugin.
 * SIGHUP closes and opens again, as another start; what a process that has dropped its privileges could not open again
 * is kept (keep.c). Read next: hooks.c, inject.c.
 */
#include <errno.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter.h"
#include "hooks.h"
#include "keep.h"
#include "system/clock.h"

#define DEFAULT_MAX_CLIENTS 1024 /* OpenVPN's own */
#define CLIENT_SESSIONS 4        /* one, and those that are just ending */

static uint32_t max_sessions(const struct jump_ovpn *o)
{
    long clients = o->facts.max_clients > 0 ? o->facts.max_clients : DEFAULT_MAX_CLIENTS;

    if (o->arguments.role == JUMP_CLIENT)
        return CLIENT_SESSIONS;
    if (o->arguments.max_sessions > 0)
        return o->arguments.max_sessions;
    return clients > 500000 ? 1000000 : (uint32_t)clients * 2; /* an instance has two while its handshake is undecided */
}

static bool open_instance(struct jump_ovpn *o, struct jump_problem *problem)
{
    struct jump_instance_settings settings;
    struct jump_instance_host host;

    memset(&settings, 0, sizeof settings);
    settings.role = o->arguments.role;
    settings.host_kind = JUMP_HOST_OPENVPN;
    settings.name = o->arguments.name;
    settings.policy = o->arguments.policy;
    settings.state_dir = o->arguments.state_dir;
    settings.audit = o->arguments.audit;
    settings.max_sessions = max_sessions(o);
    settings.unique_path = true;
    jump_ovpn_be_host(&host, o);
    jump_keep_take(o);
    return jump_instance_open(&o->instance, problem, &settings, &host);
}

static bool open_memory(struct jump_ovpn *o, struct jump_problem *problem)
{
    uint8_t key[JUMP_MAP_KEY_BYTES];
    uint32_t sessions = o->instance.max_sessions;

    o->map_memory_len = jump_map_bytes(sessions);
    o->map_memory = malloc(o->map_memory_len);
    randombytes_buf(key, sizeof key);
    if (o->map_memory != NULL)
        o->map = jump_map_init(o->map_memory, o->map_memory_len, sessions, key);
    if (o->map != NULL)
        o->hold = jump_hold_open(sessions * 2, JUMP_HOLD_PACKETS, JUMP_HOLD_POOL_BYTES);
    if (o->facts.multihome)
        o->peer_pktinfo = calloc((size_t)sessions * 2, sizeof *o->peer_pktinfo);
    if (!jump_ovpn_rounds_begin(o, sessions * 2) || o->hold == NULL || (o->facts.multihome && o->peer_pktinfo == NULL)) {
        jump_problem_set(problem, "not enough memory for %u sessions", (unsigned)sessions);
        return false;
    }
    return true;
}

static bool open_sockets(struct jump_ovpn *o, struct jump_problem *problem)
{
    char path[JUMP_SETTINGS_TEXT_BYTES];

    if (!jump_instance_listen(&o->instance, problem, o->arguments.run_dir))
        return false;
    if (o->arguments.role == JUMP_CLIENT) {
        o->netlink = jump_netlink_open(problem);
        return o->netlink != NULL;
    }
    if (o->management == NULL && !o->facts.management && jump_inject_management_path(path, sizeof path, &o->arguments)) {
        o->management = jump_management_open(path, o->numbers);
        if (o->management == NULL) {
            jump_problem_set(problem, "not enough memory");
            return false;
        }
    }
    return true;
}

static void note(void *context, enum jump_log_level level, const char *text)
{
    jump_ovpn_log(context, level, "%s", text);
}

static bool inject(struct jump_ovpn *o, struct openvpn_plugin_args_open_return *out, struct jump_problem *problem)
{
    char text[JUMP_INJECT_BYTES];
    const struct passwd *owner = getpwuid(geteuid());
    struct openvpn_plugin_string_list *list;

    if (!jump_inject_text(text, problem, &o->arguments, &o->facts, &o->instance.policy, owner == NULL ? NULL : owner->pw_name,
                          note, o))
        return false;
    list = out->return_list == NULL ? NULL : calloc(1, sizeof *list);
    if (list != NULL) {
        list->name = strdup("config");
        list->value = strdup(text);
    }
    if (list == NULL || list->name == NULL || list->value == NULL) {
        if (list != NULL) {
            free(list->name);
            free(list->value);
            free(list);
        }
        jump_problem_set(problem, "OpenVPN takes no configuration from this plugin");
        return false;
    }
    *out->return_list = list;
    return true;
}

static bool open_all(struct jump_ovpn *o, const struct openvpn_plugin_args_open_in *in,
                     struct openvpn_plugin_args_open_return *out, struct jump_problem *problem)
{
    if (!jump_settings_arguments_read(&o->arguments, problem, (const char *const *)in->argv))
        return false;
    jump_settings_facts_read(&o->facts);
    if (!jump_settings_defaults(&o->arguments, problem, o->facts.stem))
        return false;
    switch (jump_inject_judge(problem, &o->arguments, &o->facts)) {
    case JUMP_INJECT_WRONG:
        return false;
    case JUMP_INJECT_BARE:
        o->bare = true;
        jump_ovpn_log(o, JUMP_LOG_WARNING, "%s", problem->text);
        return true;
    case JUMP_INJECT_POSSIBLE:
        break;
    }
    return open_instance(o, problem) && open_memory(o, problem) && open_sockets(o, problem) && inject(o, out, problem)
           && jump_ovpn_io_begin(o, problem);
}

int jump_ovpn_open(const struct openvpn_plugin_args_open_in *in, struct openvpn_plugin_args_open_return *out)
{
    struct jump_problem problem = {.text = "not enough memory"};
    struct jump_ovpn *o;

    if (jump_ovpn_instance != NULL) {
        in->callbacks->plugin_log(PLOG_ERR, "jumping", "%s", "a second plugin line: one process has one instance");
        return OPENVPN_PLUGIN_FUNC_ERROR;
    }
    jump_keep_begin();
    o = calloc(1, sizeof *o);
    if (o != NULL) {
        o->plugin_log = in->callbacks->plugin_log;
        o->arguments.log_level = JUMP_LOG_INFO;
        o->link_fd = -1;
        o->restart_at = o->management_again_at = JUMP_NEVER;
    }
    if (o == NULL || !open_all(o, in, out, &problem)) {
        in->callbacks->plugin_log(PLOG_ERR, "jumping", "%s%s", problem.text,
                                  jump_keep_dropped() ? " (after SIGHUP, without the privileges of the start: restart OpenVPN instead)" : "");
        if (o != NULL)
            jump_ovpn_close(o);
        return OPENVPN_PLUGIN_FUNC_ERROR;
    }
    jump_ovpn_instance = o;
    out->handle = (openvpn_plugin_handle_t)o;
    out->type_mask = 0;
    if (!o->bare) {
        out->type_mask = OPENVPN_PLUGIN_MASK(OPENVPN_PLUGIN_TLS_FINAL) | OPENVPN_PLUGIN_MASK(OPENVPN_PLUGIN_UP);
        if (o->arguments.role == JUMP_SERVER)
            out->type_mask |= OPENVPN_PLUGIN_MASK(OPENVPN_PLUGIN_CLIENT_CONNECT_V2)
                              | OPENVPN_PLUGIN_MASK(OPENVPN_PLUGIN_CLIENT_DISCONNECT);
        else
            out->type_mask |= OPENVPN_PLUGIN_MASK(OPENVPN_PLUGIN_ROUTE_UP);
        jump_ovpn_log(o, JUMP_LOG_INFO, "%s '%s', policy %s %u.%u, audit %s",
                      o->arguments.role == JUMP_SERVER ? "server" : "client", o->arguments.name, o->arguments.policy,
                      o->instance.policy.version_major, o->instance.policy.version_minor, o->arguments.audit);
    }
    return OPENVPN_PLUGIN_FUNC_SUCCESS;
}

void jump_ovpn_close(struct jump_ovpn *o)
{
    jump_ovpn_io_end(o);
    while (o->clients != NULL)
        jump_ovpn_client_close(o, o->clients);
    if (jump_ovpn_instance == o)
        jump_ovpn_instance = NULL;
    jump_uplinks_end(o);
    jump_netlink_close(o->netlink);
    if (jump_keep_dropped())
        jump_keep_put(o, jump_clock_now());
    jump_management_close(o->management);
    jump_instance_close(&o->instance);
    jump_hold_close(o->hold);
    free(o->map_memory);
    free(o->peer_pktinfo);
    jump_ovpn_rounds_end(o);
    sodium_memzero(o, sizeof *o);
    free(o);
}
