/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two things an administrator wrote: the plugin line's own arguments, and OpenVPN's configuration around it, of
 * which we need a few facts that no plugin call tells. It reads; it refuses to judge what follows from the facts
 * (inject.c) and to open anything for writing. Read next: inject.h.
 * Threads: at open_v3 only.
 */
#ifndef JUMP_OVPN_SETTINGS_H
#define JUMP_OVPN_SETTINGS_H

#include <jumping/types.h>

#include "system/problem.h"

#define JUMP_SETTINGS_TEXT_BYTES 256
#define JUMP_SETTINGS_NAME_BYTES 32 /* as jump_state_name_valid wants it */

enum jump_log_level { JUMP_LOG_ERROR, JUMP_LOG_WARNING, JUMP_LOG_INFO, JUMP_LOG_DEBUG };

/** The plugin line. Every text is NUL-terminated; defaults are filled in by jump_settings_defaults. */
struct jump_settings_arguments {
    enum jump_role role;
    char policy[JUMP_SETTINGS_TEXT_BYTES];
    char name[JUMP_SETTINGS_NAME_BYTES];
    char state_dir[JUMP_SETTINGS_TEXT_BYTES], run_dir[JUMP_SETTINGS_TEXT_BYTES], audit[JUMP_SETTINGS_TEXT_BYTES];
    enum jump_log_level log_level;
    uint32_t max_sessions; /* 0: twice OpenVPN's max-clients */
};

/**
 * Read the plugin line. argv[0] is the plugin's path, argv[1] the role, the rest key=value, each at most once.
 *
 * @return false with *problem: unknown or doubled key, bad value
 */
bool jump_settings_arguments_read(struct jump_settings_arguments *arguments, struct jump_problem *problem,
                                const char *const argv[]);

/** Give the name and the audit path their defaults: the configuration's stem, /var/log/jumping/NAME.jsonl. */
bool jump_settings_defaults(struct jump_settings_arguments *arguments, struct jump_problem *problem, const char *stem);

/** What OpenVPN's configuration says. -1: not set. */
struct jump_settings_facts {
    char path[JUMP_SETTINGS_TEXT_BYTES]; /* of the main file; "" if OpenVPN was started without one */
    char stem[JUMP_SETTINGS_NAME_BYTES];
    bool unreadable;                   /* there is a file, but it could not be read: the facts are defaults */
    bool udp, tcp;                     /* some connection may use it */
    bool proto_tcp, inherits_proto;    /* the last `proto` outside of blocks; some remote has none of its own */
    bool explicit_proto;               /* some remote has */
    bool receive_buffer;               /* `rcvbuf` */
    bool pings;                        /* a server whose clients ping: `keepalive`, or `push "ping N"` */
    bool remote_name;                  /* some remote is a name, not an address */
    bool server_mode;                  /* `server`, `server-bridge` or `mode server` */
    bool static_key;                   /* `secret`: no TLS, nothing to derive a session from */
    bool pulls;                        /* `client`, `pull` or `push-peer-info`: the server is told what this client can do */
    bool socks_proxy, bind_dev;
    bool user_pass;                    /* `auth-user-pass` */
    bool restart_ends;                 /* remap-usr1 SIGTERM */
    bool filters_timer;                /* a pull-filter keeps the pushed ping-restart 0 out; `timer_filtered`: one has judged it */
    bool timer_filtered;
    bool management, multihome, connection_blocks, block_connect_timeout, dco_disabled, persist_key, persist_tun,
        drops_privilege, chroot, bound_socket, tap;
    char exporter[JUMP_SETTINGS_TEXT_BYTES]; /* keying-material-exporter's label */
    char iv_sso[JUMP_SETTINGS_TEXT_BYTES];   /* setenv IV_SSO */
    char dev[16];                          /* "tun0": the interface, where it is named */
    long hand_window, reneg_sec, connect_timeout, max_clients, ping_exit, tran_window;
    unsigned plugin_lines;                 /* how often this plugin stands there */
};

/** Facts of text in memory: a file's content; a command line, each word ended by NUL. For the tests too. */
void jump_settings_facts_begin(struct jump_settings_facts *facts);
void jump_settings_facts_take_file(struct jump_settings_facts *facts, const char *text, size_t text_len);
void jump_settings_facts_take_command(struct jump_settings_facts *facts, const char *words, size_t words_len);
void jump_settings_facts_finish(struct jump_settings_facts *facts);

/** All of that for this process: its command line, the file that it names, the files that they include. */
void jump_settings_facts_read(struct jump_settings_facts *facts);

#endif
