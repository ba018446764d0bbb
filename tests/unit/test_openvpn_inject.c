/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is added to OpenVPN's configuration, and what is said about what cannot be (adapters/openvpn/inject.c).
 */
#include <string.h>

#include "openvpn/inject.h"
#include "runner.h"

static struct jump_settings_arguments arguments;
static struct jump_settings_facts facts;
static struct jump_policy policy;
static struct jump_problem problem;
static char text[JUMP_INJECT_BYTES], notes[8192];

static void keep_note(void *context, enum jump_log_level level, const char *line)
{
    (void)context;
    if (level == JUMP_LOG_INFO)
        strcat(notes, "info: ");
    strncat(notes, line, sizeof notes - strlen(notes) - 2);
    strcat(notes, "\n");
}

static void begin(enum jump_role role, const char *config)
{
    struct jump_policy_draft draft;

    jump_policy_begin(&draft);
    policy = draft.policy;
    memset(&arguments, 0, sizeof arguments);
    arguments.role = role;
    strcpy(arguments.name, "work");
    strcpy(arguments.run_dir, "/run/jumping");
    strcpy(arguments.state_dir, "/var/lib/jumping");
    jump_settings_facts_begin(&facts);
    jump_settings_facts_take_file(&facts, config, strlen(config));
    jump_settings_facts_finish(&facts);
    notes[0] = '\0';
}

static bool inject(void)
{
    return jump_inject_text(text, &problem, &arguments, &facts, &policy, "root", keep_note, NULL);
}

static bool has(const char *line)
{
    size_t len = strlen(line);

    for (const char *at = text; (at = strstr(at, line)) != NULL; at++)
        if ((at == text || at[-1] == '\n') && at[len] == '\n')
            return true;
    return false;
}

static bool says(const char *word)
{
    return strstr(notes, word) != NULL;
}

static void test_openvpn_inject_client_gets_exactly_this(void)
{
    begin(JUMP_CLIENT, "client\nremote 192.0.2.1 1194\npersist-tun\npersist-key\ndisable-dco\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_STRING_EQUAL(text, "keying-material-exporter EXPORTER-jumping 32\ndisable-dco\nhand-window 600\n"
                                 "setenv IV_SSO jumping1\nconnect-timeout 60\nreneg-sec 3240\n");
    CU_ASSERT_STRING_EQUAL(notes, "");
}

static void test_openvpn_inject_a_clients_tunnel_is_kept_while_it_connects_anew(void)
{
    begin(JUMP_CLIENT, "client\nremote 192.0.2.1 1194\nremote 2001:db8::1\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(has("persist-tun") && has("persist-key"));
    CU_ASSERT_TRUE(says("info: persist-tun and persist-key are added") && !says("a name"));
    begin(JUMP_CLIENT, "client\nremote vpn.example.org\npersist-key\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(has("persist-tun") && !has("persist-key"));
    CU_ASSERT_TRUE(says("persist-tun is added") && says("remote is a name")); /* found through a dead tunnel: never */
    begin(JUMP_CLIENT, "client\nremote vpn.example.org\npersist-tun\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(!has("persist-tun") && has("persist-key") && !says("remote is a name")); /* as it was before us */
    begin(JUMP_SERVER, "server 10.0.0.0 255.255.255.0\n"); /* its tun goes with its own restarts only */
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_PTR_NULL(strstr(text, "persist"));
}

static void test_openvpn_inject_server_gets_exactly_this(void)
{
    begin(JUMP_SERVER, "server 10.0.0.0 255.255.255.0\ndisable-dco\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_STRING_EQUAL(text, "keying-material-exporter EXPORTER-jumping 32\ndisable-dco\nhand-window 600\n"
                                 "management \"/var/lib/jumping/work.mgmt.sock\" unix\nmanagement-client-user root\n");
    CU_ASSERT_STRING_EQUAL(notes, "");
}

static void test_openvpn_inject_no_ping_restart_or_keepalive_for_the_whole_process(void)
{
    for (int role = JUMP_CLIENT; role <= JUMP_SERVER; role++) {
        begin((enum jump_role)role, "keepalive 10 60\n");
        CU_ASSERT_TRUE(inject());
        CU_ASSERT_PTR_NULL(strstr(text, "\nping"));
        CU_ASSERT_PTR_NULL(strstr(text, "keepalive"));
    }
}

static void test_openvpn_inject_the_users_iv_sso_list_is_kept(void)
{
    begin(JUMP_CLIENT, "setenv IV_SSO webauth,openurl\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(has("setenv IV_SSO \"webauth,openurl,jumping1\""));
    begin(JUMP_CLIENT, "setenv IV_SSO webauth,jumping1\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(has("setenv IV_SSO \"webauth,jumping1\""));
}

static void test_openvpn_inject_an_option_that_does_not_fit_a_line_is_an_error(void)
{
    begin(JUMP_CLIENT, "");
    memset(facts.iv_sso, 'x', sizeof facts.iv_sso - 1);
    CU_ASSERT_FALSE(inject());
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "IV_SSO"));
    begin(JUMP_SERVER, "");
    memset(arguments.state_dir, 'x', 100);
    arguments.state_dir[0] = '/';
    CU_ASSERT_FALSE(inject());
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "state_dir"));
}

static void test_openvpn_inject_announcement_is_a_whole_word_of_the_list(void)
{
    CU_ASSERT_TRUE(jump_inject_announced("jumping1"));
    CU_ASSERT_TRUE(jump_inject_announced("webauth,jumping1"));
    CU_ASSERT_TRUE(jump_inject_announced("jumping1,webauth"));
    CU_ASSERT_FALSE(jump_inject_announced(NULL));
    CU_ASSERT_FALSE(jump_inject_announced(""));
    CU_ASSERT_FALSE(jump_inject_announced("jumping12"));
    CU_ASSERT_FALSE(jump_inject_announced("xjumping1"));
    CU_ASSERT_FALSE(jump_inject_announced("webauth,,jumping"));
}

static void test_openvpn_inject_hand_window_outlives_a_hole_and_never_exceeds_600(void)
{
    CU_ASSERT_EQUAL(jump_inject_hand_window(15000), 60);
    CU_ASSERT_EQUAL(jump_inject_hand_window(30000), 120);
    CU_ASSERT_EQUAL(jump_inject_hand_window(125999), 180);
    CU_ASSERT_EQUAL(jump_inject_hand_window(300000), 600);
    CU_ASSERT_EQUAL(jump_inject_hand_window(28800000), 600);
    begin(JUMP_CLIENT, "hand-window 30\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(has("hand-window 600") && says("hand-window 30 "));
    begin(JUMP_CLIENT, "hand-window 1200\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_PTR_NULL(strstr(text, "hand-window"));
    CU_ASSERT_TRUE(says("hand-window 1200"));
}

static void test_openvpn_inject_client_rekeys_before_its_key_is_too_old(void)
{
    begin(JUMP_CLIENT, "reneg-sec 600\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_PTR_NULL(strstr(text, "reneg-sec")); /* tighter already */
    begin(JUMP_CLIENT, "reneg-sec 0\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(has("reneg-sec 3240") && says("reneg-sec 0"));
}

static void test_openvpn_inject_servers_reneg_sec_only_for_a_long_ttl_and_never_over_the_users(void)
{
    begin(JUMP_SERVER, "");
    policy.transport_lost_ttl_ms = 8 * 3600000;
    policy.key_max_age_ms = 24 * 3600000;
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(has("reneg-sec 86400"));
    begin(JUMP_SERVER, "reneg-sec 7200\n");
    policy.transport_lost_ttl_ms = 8 * 3600000;
    policy.key_max_age_ms = 24 * 3600000;
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_PTR_NULL(strstr(text, "reneg-sec"));
    CU_ASSERT_TRUE(says("reneg-sec 7200"));
}

static void test_openvpn_inject_what_it_cannot_take_over_it_names(void)
{
    begin(JUMP_SERVER, "management localhost 7505\nkeying-material-exporter EXPORTER-x 20\nuser nobody\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_PTR_NULL(strstr(text, "management"));
    CU_ASSERT_TRUE(says("management") && says("EXPORTER-x") && says("persist-key") && says("persist-tun"));
    begin(JUMP_CLIENT, "proto udp\nremote a 443 tcp\n<connection>\nremote b\n</connection>\nconnect-timeout 5\n");
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_PTR_NULL(strstr(text, "connect-timeout"));
    CU_ASSERT_TRUE(says("tcp") && says("<connection>"));
    begin(JUMP_CLIENT, "");
    facts.unreadable = true;
    CU_ASSERT_TRUE(inject());
    CU_ASSERT_TRUE(says("cannot be read"));
}

static void test_openvpn_inject_the_kernels_data_channel_is_switched_off_and_that_is_said(void)
{
    for (int role = JUMP_CLIENT; role <= JUMP_SERVER; role++) {
        begin((enum jump_role)role, "");
        CU_ASSERT_TRUE(inject());
        CU_ASSERT_TRUE(has("disable-dco") && says("info: disable-dco is added"));
        begin((enum jump_role)role, "disable-dco\n"); /* the user knows */
        CU_ASSERT_TRUE(inject());
        CU_ASSERT_FALSE(says("disable-dco"));
    }
}

static void test_openvpn_inject_a_clients_options_that_change_their_meaning_are_named(void)
{
    static const struct {
        const char *config, *word;
    } cases[] = {{"ping-exit 30\n", "ping-exit 30"},
                 {"remap-usr1 SIGTERM\n", "remap-usr1"},
                 {"pull-filter ignore ping\n", "pull-filter"},
                 {"pull-filter reject \"ping-restart 0\"\n", "pull-filter"},
                 {"bind-dev eth0\n", "bind-dev"},
                 {"local 192.0.2.7\n", "local"},
                 {"tran-window 60\n", "tran-window 60"},
                 {"reneg-sec 0\nauth-user-pass\n", "auth-gen-token"}};
    static const char *const harmless[] = {
        "ping-exit 0\n", "remap-usr1 SIGHUP\n", "pull-filter ignore route\n", "pull-filter ignore \"ping-restart 10\"\n",
        "pull-filter accept ping-restart\npull-filter ignore ping\n", "bind\nnobind\n", "auth-user-pass\n",
        "tran-window 3600\n"};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(JUMP_CLIENT, cases[i].config);
        CU_ASSERT_TRUE(inject());
        CU_ASSERT_TRUE(says(cases[i].word));
    }
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        begin(JUMP_CLIENT, harmless[i]);
        facts.dco_disabled = facts.persist_key = facts.persist_tun = true;
        CU_ASSERT_TRUE(inject());
        CU_ASSERT_STRING_EQUAL(notes, "");
    }
}

static enum jump_inject_verdict judge(enum jump_role role, const char *config)
{
    begin(role, config);
    problem.text[0] = '\0';
    return jump_inject_judge(&problem, &arguments, &facts);
}

static void test_openvpn_inject_what_stays_bare_says_why(void)
{
    CU_ASSERT_EQUAL(judge(JUMP_CLIENT, "proto tcp\n"), JUMP_INJECT_BARE);
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "proto tcp"));
    CU_ASSERT_EQUAL(judge(JUMP_CLIENT, "secret k\n"), JUMP_INJECT_BARE);
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "secret"));
    CU_ASSERT_EQUAL(judge(JUMP_CLIENT, "client\n<connection>\nremote a\nsocks-proxy p\n</connection>\n"), JUMP_INJECT_BARE);
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "socks-proxy"));
    CU_ASSERT_EQUAL(judge(JUMP_CLIENT, "tls-client\nremote a\n"), JUMP_INJECT_BARE);
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "pull"));
    CU_ASSERT_EQUAL(judge(JUMP_CLIENT, "tls-client\npull\nremote a\n"), JUMP_INJECT_POSSIBLE);
    CU_ASSERT_EQUAL(judge(JUMP_CLIENT, "client\n"), JUMP_INJECT_POSSIBLE);
    CU_ASSERT_EQUAL(judge(JUMP_SERVER, "mode server\n"), JUMP_INJECT_POSSIBLE);
}

static void test_openvpn_inject_a_role_that_does_not_fit_is_an_error(void)
{
    CU_ASSERT_EQUAL(judge(JUMP_SERVER, "tls-server\n"), JUMP_INJECT_WRONG);
    CU_ASSERT_EQUAL(judge(JUMP_CLIENT, "server 10.0.0.0 255.0.0.0\n"), JUMP_INJECT_WRONG);
    begin(JUMP_SERVER, "");
    facts.unreadable = true; /* who knows: the handshake will tell */
    CU_ASSERT_EQUAL(jump_inject_judge(&problem, &arguments, &facts), JUMP_INJECT_POSSIBLE);
}

static void test_openvpn_inject_an_announced_clients_timers_become_the_cores(void)
{
    begin(JUMP_SERVER, "");
    jump_inject_client_text(text, false, false, &policy);
    CU_ASSERT_STRING_EQUAL(text, "ping-restart 0\npush \"ping-restart 0\"\npush \"setenv-safe JUMPING 1\"\n");
    begin(JUMP_SERVER, ""); /* management is the user's, or lost: nobody can end the instance but its own timer */
    jump_inject_client_text(text, true, true, &policy);
    CU_ASSERT_TRUE(has("ping-restart 360") && has("push \"ping-restart 0\"") && !has("push \"ping 20\""));
    jump_inject_client_text(text, true, false, &policy); /* then it must hear from an idle client too */
    CU_ASSERT_TRUE(has("ping-restart 360") && has("push \"ping 20\""));
}

#define TESTS(X)                                                                             \
    X(test_openvpn_inject_client_gets_exactly_this)                                          \
    X(test_openvpn_inject_a_clients_tunnel_is_kept_while_it_connects_anew)                   \
    X(test_openvpn_inject_server_gets_exactly_this)                                          \
    X(test_openvpn_inject_no_ping_restart_or_keepalive_for_the_whole_process)                \
    X(test_openvpn_inject_the_users_iv_sso_list_is_kept)                                     \
    X(test_openvpn_inject_an_option_that_does_not_fit_a_line_is_an_error)                    \
    X(test_openvpn_inject_announcement_is_a_whole_word_of_the_list)                          \
    X(test_openvpn_inject_hand_window_outlives_a_hole_and_never_exceeds_600)                 \
    X(test_openvpn_inject_client_rekeys_before_its_key_is_too_old)                           \
    X(test_openvpn_inject_servers_reneg_sec_only_for_a_long_ttl_and_never_over_the_users)    \
    X(test_openvpn_inject_what_it_cannot_take_over_it_names)                                 \
    X(test_openvpn_inject_the_kernels_data_channel_is_switched_off_and_that_is_said)         \
    X(test_openvpn_inject_a_clients_options_that_change_their_meaning_are_named)             \
    X(test_openvpn_inject_what_stays_bare_says_why)                                          \
    X(test_openvpn_inject_a_role_that_does_not_fit_is_an_error)                              \
    X(test_openvpn_inject_an_announced_clients_timers_become_the_cores)

RUN_TESTS("openvpn_inject", TESTS)
