/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the plugin adds to OpenVPN's configuration, and what it says at start about all that it cannot override
 * (docs/openvpn.md, "Take-over", "Rekeying"). Text in, text out: facts and policy decide. OpenVPN does not take a
 * bad injected line for fatal, so hooks.c checks the effect (key material arrives). No ping-restart is ever
 * injected for the whole process: peers without the plugin keep what their administrator wrote.
 * Threads: OpenVPN's main thread only.
 */
#ifndef JUMP_OVPN_INJECT_H
#define JUMP_OVPN_INJECT_H

#include <jumping/policy.h>

#include "settings.h"

#define JUMP_INJECT_BYTES 2048
#define JUMP_INJECT_ANNOUNCEMENT "jumping1"   /* in the client's IV_SSO list */
#define JUMP_INJECT_PUSHED "JUMPING"          /* the pushed setenv-safe: OPENVPN_JUMPING at the client */
#define JUMP_INJECT_REKEY_MARGIN_MS 60000u    /* a rekey's own time, and the server's tighter policy */
#define JUMP_INJECT_MAX_HAND_WINDOW_S 600     /* unauthenticated handshakes live as long */

/** One line for the log at start: a warning where something cannot be had, an information where it is added. */
typedef void jump_inject_note(void *context, enum jump_log_level level, const char *text);

enum jump_inject_verdict {
    JUMP_INJECT_POSSIBLE,
    JUMP_INJECT_BARE, /* cannot be taken over (proto tcp, a static key): everything stays as OpenVPN has it */
    JUMP_INJECT_WRONG /* the plugin line does not fit the configuration: OpenVPN must not start */
};

/** Can this configuration be taken over? *problem says why not. */
enum jump_inject_verdict jump_inject_judge(struct jump_problem *problem,
                                           const struct jump_settings_arguments *arguments,
                                           const struct jump_settings_facts *facts);

/**
 * The text for OpenVPN's configuration, after the user's own.
 *
 * @param owner name of the user that this process runs as, who alone may use the management socket; NULL: unknown
 * @return false with *problem: a value does not fit an option line
 */
bool jump_inject_text(char out[JUMP_INJECT_BYTES], struct jump_problem *problem,
                      const struct jump_settings_arguments *arguments, const struct jump_settings_facts *facts,
                      const struct jump_policy *policy, const char *owner, jump_inject_note *note, void *context);

/**
 * What CLIENT_CONNECT_V2 returns for a client that announced itself.
 *
 * @param pings        the user's file makes the client ping (`keepalive`, or a pushed `ping`)
 * @param host_ends_it there is no management socket to end its instance by: OpenVPN's ping-restart has to, a minute
 *                     after the session's own bound
 */
void jump_inject_client_text(char out[JUMP_INJECT_BYTES], bool host_ends_it, bool pings, const struct jump_policy *policy);

/** True if a comma list has the announcement. */
bool jump_inject_announced(const char *iv_sso);

/** Where the server's management socket is put. False: the path is longer than the system allows (107). */
bool jump_inject_management_path(char *out, size_t out_cap, const struct jump_settings_arguments *arguments);

/** hand-window for a transport TTL: above the first control retransmission after it, 60 .. 600 s. */
long jump_inject_hand_window(uint32_t transport_lost_ttl_ms);

#endif
