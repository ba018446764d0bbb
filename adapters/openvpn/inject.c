/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Injected options (inject.h). Each is here for one reason, given beside it; each that the user's own file makes
 * impossible or pointless is a note at start, by the option's name. Read next: hooks.c (who hands the text over).
 */
#include "inject.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPTION_LINE_BYTES 255 /* OpenVPN refuses longer ones */

enum jump_inject_verdict jump_inject_judge(struct jump_problem *problem,
                                           const struct jump_settings_arguments *arguments,
                                           const struct jump_settings_facts *facts)
{
    if (!facts->unreadable && arguments->role == JUMP_SERVER && !facts->server_mode) {
        jump_problem_set(problem, "the plugin line says 'server', but this configuration has no server or mode server");
        return JUMP_INJECT_WRONG;
    }
    if (arguments->role == JUMP_CLIENT && facts->server_mode) {
        jump_problem_set(problem, "the plugin line says 'client', but this configuration is a server's");
        return JUMP_INJECT_WRONG;
    }
    if (facts->tcp && !facts->udp) {
        jump_problem_set(problem, "proto tcp cannot be taken over: everything stays as bare OpenVPN has it");
        return JUMP_INJECT_BARE;
    }
    if (facts->static_key) {
        jump_problem_set(problem, "secret (a static key) gives no session to keep: everything stays as bare OpenVPN has it");
        return JUMP_INJECT_BARE;
    }
    if (facts->socks_proxy) {
        jump_problem_set(problem, "socks-proxy: the proxy carries OpenVPN's own packets only: everything stays as bare OpenVPN has it");
        return JUMP_INJECT_BARE;
    }
    if (arguments->role == JUMP_CLIENT && !facts->pulls && !facts->unreadable) {
        jump_problem_set(problem, "neither client nor pull: the server cannot be told of the plugin: everything stays as bare OpenVPN has it");
        return JUMP_INJECT_BARE;
    }
    return JUMP_INJECT_POSSIBLE;
}

long jump_inject_hand_window(uint32_t transport_lost_ttl_ms)
{
    /* Control packets are sent again at these seconds; a soft reset must still be repeated after the hole. */
    static const struct {
        long sent_at, window;
    } steps[] = {{30, 60}, {62, 120}, {126, 180}, {254, 300}};

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if ((long)(transport_lost_ttl_ms / 1000) < steps[i].sent_at)
            return steps[i].window;
    return JUMP_INJECT_MAX_HAND_WINDOW_S;
}

bool jump_inject_announced(const char *iv_sso)
{
    size_t len = strlen(JUMP_INJECT_ANNOUNCEMENT);

    while (iv_sso != NULL) {
        if (strncmp(iv_sso, JUMP_INJECT_ANNOUNCEMENT, len) == 0 && (iv_sso[len] == ',' || iv_sso[len] == '\0'))
            return true;
        iv_sso = strchr(iv_sso, ',');
        if (iv_sso != NULL)
            iv_sso++;
    }
    return false;
}

bool jump_inject_management_path(char *out, size_t out_cap, const struct jump_settings_arguments *arguments)
{
    int n = snprintf(out, out_cap, "%s/%s.mgmt.sock", arguments->state_dir, arguments->name);

    return n > 0 && (size_t)n < out_cap && n <= 107;
}

struct text {
    char *out;
    size_t len;
    bool full;
};

static void __attribute__((format(printf, 2, 3))) option(struct text *text, const char *format, ...)
{
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text->out + text->len, JUMP_INJECT_BYTES - text->len, format, arguments);
    va_end(arguments);
    if (n < 0 || n > OPTION_LINE_BYTES || text->len + (size_t)n + 2 > JUMP_INJECT_BYTES) {
        text->full = true;
        text->out[text->len] = '\0';
        return;
    }
    text->len += (size_t)n;
    text->out[text->len++] = '\n';
    text->out[text->len] = '\0';
}

static void __attribute__((format(printf, 3, 4))) tell(jump_inject_note *note, void *context, const char *format, ...)
{
    char line[JUMP_PROBLEM_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    note(context, JUMP_LOG_WARNING, line);
}

/*
 * The end of a session is a SIGUSR1 to our own process. OpenVPN would close the tun with it and take the routes back, and
 * until the new connection is up the user's packets would leave in the clear. Kept, they wait in the tun or are dropped.
 */
static void keep_tunnel(struct text *text, const struct jump_settings_facts *facts, jump_inject_note *note,
                        void *context)
{
    if (!facts->persist_tun)
        option(text, "persist-tun");
    if (!facts->persist_key)
        option(text, "persist-key");
    if (!facts->persist_tun || !facts->persist_key)
        note(context, JUMP_LOG_INFO, facts->persist_tun   ? "persist-key is added: a new connection must not need to read the keys again"
                                     : facts->persist_key ? "persist-tun is added: nothing leaves outside of the tunnel while a new connection is made"
                                                          : "persist-tun and persist-key are added: nothing leaves outside of the tunnel while a new connection is made");
    if (!facts->persist_tun && facts->remote_name)
        tell(note, context, "remote is a name, and the tunnel is now kept while a new connection is made: where the name cannot be resolved without the tunnel, its last address is used");
}

/* What of a client's own options does not mean any more what it says. */
static void name_changed_meanings(const struct jump_settings_facts *facts, jump_inject_note *note, void *context)
{
    if (facts->ping_exit > 0)
        tell(note, context, "ping-exit %ld does not count towards a server with the plugin: the policy's bounds do, and then OpenVPN connects anew",
             facts->ping_exit);
    if (facts->restart_ends)
        tell(note, context, "remap-usr1 SIGTERM: where the end of a session would connect anew, it ends this OpenVPN");
    if (facts->filters_timer)
        tell(note, context, "pull-filter keeps the pushed ping-restart 0 out: this client's own ping timer ends sessions early");
    if (facts->bind_dev)
        tell(note, context, "bind-dev holds for OpenVPN's own socket: another interface with a route to the server is used too");
    if (facts->bound_socket)
        tell(note, context, "local holds on every network: without that address there is no way to the server; lport and bind hold where the port is free");
}

static void client_options(struct text *text, const struct jump_settings_facts *facts, const struct jump_policy *policy,
                           jump_inject_note *note, void *context)
{
    long rekey = (long)((policy->key_max_age_ms - policy->transport_lost_ttl_ms - JUMP_INJECT_REKEY_MARGIN_MS) / 1000);

    /* Announces support inside TLS, without what push-peer-info would reveal. */
    if (jump_inject_announced(facts->iv_sso))
        option(text, "setenv IV_SSO \"%s\"", facts->iv_sso);
    else if (facts->iv_sso[0] != '\0')
        option(text, "setenv IV_SSO \"%s," JUMP_INJECT_ANNOUNCEMENT "\"", facts->iv_sso);
    else
        option(text, "setenv IV_SSO " JUMP_INJECT_ANNOUNCEMENT);

    keep_tunnel(text, facts, note, context);

    /* A longer hand-window must not cost a dead first remote 120 s. */
    if (facts->connect_timeout < 0)
        option(text, "connect-timeout 60");
    if (facts->block_connect_timeout || facts->connection_blocks)
        tell(note, context, "connect-timeout stays as your <connection> blocks have it");

    name_changed_meanings(facts, note, context);

    /* The key's age must leave room for a hole: a rekey is due before. */
    if (policy->key_max_age_ms <= policy->transport_lost_ttl_ms + JUMP_INJECT_REKEY_MARGIN_MS)
        rekey = 60;
    if (facts->reneg_sec > 0 && facts->reneg_sec <= rekey)
        return;
    option(text, "reneg-sec %ld", rekey);
    if (facts->reneg_sec >= 0)
        tell(note, context, "reneg-sec %ld is overridden by %ld: the policy's key_max_age_ms asks for a rekey in time%s",
             facts->reneg_sec, rekey,
             facts->user_pass ? " (a server that asks for one-time passwords needs auth-gen-token)" : "");
}

static void server_options(struct text *text, const char *management, const struct jump_settings_facts *facts,
                           const struct jump_policy *policy, const char *owner, jump_inject_note *note, void *context)
{
    /* The only way to end one client's instance at once. */
    if (facts->management) {
        tell(note, context,
             "management is in use by you: an ended session's packets are dropped at once, but its client instance lives "
             "until ping-restart (%u s)", (unsigned)((policy->transport_lost_ttl_ms + 999) / 1000) + 60);
    } else {
        option(text, "management \"%s\" unix", management);
        if (owner != NULL) /* OpenVPN makes the socket 0777 */
            option(text, "management-client-user %s", owner);
    }

    if (facts->drops_privilege && !facts->persist_key)
        tell(note, context, "user without persist-key: this server's restart (SIGUSR1) may not read its keys");
    if (facts->drops_privilege && !facts->persist_tun)
        tell(note, context, "user without persist-tun: this server's restart (SIGUSR1) may not open the tun");

    /* A long TTL wants a longer life of keys, else every hole of an hour meets a rekey. */
    if (policy->transport_lost_ttl_ms > 300000) {
        if (facts->reneg_sec >= 0)
            tell(note, context, "reneg-sec %ld is yours and stays: a rekey that falls into a longer hole costs up to its "
                 "hand-window", facts->reneg_sec);
        else
            option(text, "reneg-sec %u", (unsigned)(policy->key_max_age_ms / 1000));
    }
    if (facts->reneg_sec == 0)
        tell(note, context, "reneg-sec 0: this server never rekeys, only its clients do");
}

bool jump_inject_text(char out[JUMP_INJECT_BYTES], struct jump_problem *problem,
                      const struct jump_settings_arguments *arguments, const struct jump_settings_facts *facts,
                      const struct jump_policy *policy, const char *owner, jump_inject_note *note, void *context)
{
    struct text text = {.out = out};
    char management[JUMP_SETTINGS_TEXT_BYTES];
    long window = jump_inject_hand_window(policy->transport_lost_ttl_ms);

    out[0] = '\0';
    if (!jump_inject_management_path(management, sizeof management, arguments)) {
        jump_problem_set(problem, "state_dir: the management socket's path %s/%s.mgmt.sock is longer than 107 bytes",
                         arguments->state_dir, arguments->name);
        return false;
    }
    if (facts->unreadable)
        tell(note, context, "the configuration %s cannot be read: what its options make impossible cannot be named",
             facts->path[0] != '\0' ? facts->path : "of this process");
    if (facts->tcp)
        tell(note, context, "proto tcp: connections over TCP stay as bare OpenVPN has them");
    if (facts->exporter[0] != '\0')
        tell(note, context, "keying-material-exporter %s is replaced: another plugin that needs it will not work",
             facts->exporter);

    /* The secret that both ends derive the session from. */
    option(&text, "keying-material-exporter EXPORTER-jumping 32");
    /* The kernel's data channel would carry packets past us. */
    option(&text, "disable-dco");
    if (!facts->dco_disabled)
        note(context, JUMP_LOG_INFO, "disable-dco is added: the kernel's data channel would carry packets past the plugin");
    /* A rekey that falls into a hole must outlive it, on both ends. */
    if (facts->hand_window < window)
        option(&text, "hand-window %ld", window);
    if (facts->hand_window > JUMP_INJECT_MAX_HAND_WINDOW_S)
        tell(note, context, "hand-window %ld is yours and stays: unauthenticated handshakes live as long",
             facts->hand_window);
    if (facts->hand_window >= 0 && facts->hand_window < window)
        tell(note, context, "hand-window %ld is overridden by %ld: a rekey must outlive a hole", facts->hand_window, window);
    if (facts->tran_window >= 0 && facts->tran_window < (long)(policy->transport_lost_ttl_ms / 1000))
        tell(note, context, "tran-window %ld is yours and stays: where a rekey falls into a longer hole, what is held under the old key is lost",
             facts->tran_window);
    if (policy->transport_lost_ttl_ms / 1000 >= 510)
        tell(note, context, "a rekey that begins in a hole of more than 510 s fails: OpenVPN repeats it up to then");

    if (arguments->role == JUMP_CLIENT)
        client_options(&text, facts, policy, note, context);
    else
        server_options(&text, management, facts, policy, owner, note, context);

    if (text.full) {
        jump_problem_set(problem, "an injected option does not fit an option line (setenv IV_SSO or state_dir too long)");
        return false;
    }
    return true;
}

void jump_inject_client_text(char out[JUMP_INJECT_BYTES], bool host_ends_it, bool pings, const struct jump_policy *policy)
{
    struct text text = {.out = out};

    out[0] = '\0';
    /* The core's deadlines are the only ones for this client, on both ends. */
    if (host_ends_it)
        option(&text, "ping-restart %u", (unsigned)((policy->transport_lost_ttl_ms + 999) / 1000) + 60);
    else
        option(&text, "ping-restart 0");
    if (host_ends_it && !pings) /* or that timer would end a session that is only idle */
        option(&text, "push \"ping 20\"");
    option(&text, "push \"ping-restart 0\"");
    option(&text, "push \"setenv-safe " JUMP_INJECT_PUSHED " 1\"");
}
