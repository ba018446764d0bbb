/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the administrator wrote: the plugin line, and the facts of OpenVPN's configuration around it
 * (adapters/openvpn/settings.c). Each accepted form has refused siblings.
 */
#include <string.h>

#include "openvpn/settings.h"
#include "runner.h"
#include "scratch.h"

static struct jump_settings_arguments arguments;
static struct jump_settings_facts facts;
static struct jump_problem problem;

static bool read_line(const char *a, const char *b, const char *c)
{
    const char *argv[] = {"plugin.so", a, b, c, NULL};

    problem.text[0] = '\0';
    return jump_settings_arguments_read(&arguments, &problem, argv);
}

static void test_openvpn_settings_a_role_is_all_that_is_needed(void)
{
    CU_ASSERT_TRUE(read_line("client", NULL, NULL));
    CU_ASSERT_EQUAL(arguments.role, JUMP_CLIENT);
    CU_ASSERT_STRING_EQUAL(arguments.policy, "mobile");
    CU_ASSERT_STRING_EQUAL(arguments.state_dir, "/var/lib/jumping");
    CU_ASSERT_STRING_EQUAL(arguments.run_dir, "/run/jumping");
    CU_ASSERT_TRUE(jump_settings_defaults(&arguments, &problem, "work"));
    CU_ASSERT_STRING_EQUAL(arguments.name, "work");
    CU_ASSERT_STRING_EQUAL(arguments.audit, "/var/log/jumping/work.jsonl");
    CU_ASSERT_TRUE(read_line("server", NULL, NULL));
    CU_ASSERT_EQUAL(arguments.role, JUMP_SERVER);
}

static void test_openvpn_settings_every_key_is_taken(void)
{
    CU_ASSERT_TRUE(read_line("server", "policy=/etc/p.ini", "name=gate-1"));
    CU_ASSERT_STRING_EQUAL(arguments.policy, "/etc/p.ini");
    CU_ASSERT_STRING_EQUAL(arguments.name, "gate-1");
    CU_ASSERT_TRUE(read_line("server", "state_dir=/s", "run_dir=/r"));
    CU_ASSERT_STRING_EQUAL(arguments.state_dir, "/s");
    CU_ASSERT_STRING_EQUAL(arguments.run_dir, "/r");
    CU_ASSERT_TRUE(read_line("server", "audit=/a.jsonl", "log_level=debug"));
    CU_ASSERT_STRING_EQUAL(arguments.audit, "/a.jsonl");
    CU_ASSERT_EQUAL(arguments.log_level, JUMP_LOG_DEBUG);
    CU_ASSERT_TRUE(read_line("server", "max_sessions=12", NULL));
    CU_ASSERT_EQUAL(arguments.max_sessions, 12);
}

static void test_openvpn_settings_mistakes_are_named_in_one_line(void)
{
    static const char *const bad[] = {
        "polcy=mobile", "policy", "=x", "", "policy=", "name=", "name=a b", "name=.hidden", "name=a/b",
        "name=an-instance-name-that-is-far-too-long", "state_dir=relative", "run_dir=", "audit=x", "log_level=loud",
        "max_sessions=0", "max_sessions=1000001", "max_sessions=-1", "max_sessions=1x"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_FALSE(read_line("client", bad[i], NULL));
        CU_ASSERT_TRUE(problem.text[0] != '\0');
        CU_ASSERT_PTR_NULL(strchr(problem.text, '\n'));
    }
    CU_ASSERT_FALSE(read_line("client", "policy=a", "policy=b"));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "twice"));
    CU_ASSERT_FALSE(read_line("Client", NULL, NULL));
    CU_ASSERT_FALSE(read_line("policy=mobile", NULL, NULL));
    CU_ASSERT_FALSE(read_line(NULL, NULL, NULL));
}

static void test_openvpn_settings_too_long_values_are_refused(void)
{
    char path[JUMP_SETTINGS_TEXT_BYTES + 16] = "audit=/";

    memset(path + 7, 'x', sizeof path - 8);
    path[sizeof path - 1] = '\0';
    CU_ASSERT_FALSE(read_line("client", path, NULL));
}

static void test_openvpn_settings_a_stem_that_cannot_be_a_name_asks_for_one(void)
{
    CU_ASSERT_TRUE(read_line("client", NULL, NULL));
    CU_ASSERT_FALSE(jump_settings_defaults(&arguments, &problem, "my vpn"));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "name="));
    CU_ASSERT_TRUE(read_line("client", "name=vpn", NULL));
    CU_ASSERT_TRUE(jump_settings_defaults(&arguments, &problem, "my vpn"));
}

static void file(const char *text)
{
    jump_settings_facts_begin(&facts);
    jump_settings_facts_take_file(&facts, text, strlen(text));
    jump_settings_facts_finish(&facts);
}

static void test_openvpn_settings_nothing_said_means_openvpns_defaults(void)
{
    file("");
    CU_ASSERT_TRUE(facts.udp);
    CU_ASSERT_FALSE(facts.tcp);
    CU_ASSERT_FALSE(facts.receive_buffer || facts.management || facts.multihome || facts.server_mode || facts.static_key);
    CU_ASSERT_EQUAL(facts.hand_window, -1);
    CU_ASSERT_EQUAL(facts.reneg_sec, -1);
    CU_ASSERT_STRING_EQUAL(facts.stem, "openvpn");
}

static void test_openvpn_settings_who_makes_clients_ping(void)
{
    file("keepalive 10 60");
    CU_ASSERT_TRUE(facts.pings);
    file("push \"ping-restart 60\"\npush \"route 10.0.0.0 255.0.0.0\"");
    CU_ASSERT_FALSE(facts.pings);
    file("push \"ping 15\"");
    CU_ASSERT_TRUE(facts.pings);
}

static void test_openvpn_settings_options_are_read_as_openvpn_reads_them(void)
{
    file("# a comment\n; another\n\n  proto\tudp4\r\nserver 10.0.0.0 255.0.0.0 # end\nreneg-sec 0\n"
         "setenv IV_SSO \"webauth,openurl\"\n--hand-window 90\nmanagement '/run/a b.sock' unix\nmax-clients 50\n"
         "keying-material-exporter EXPORTER-other 20\nmultihome\nuser nobody\nnobind\nrcvbuf 65536");
    CU_ASSERT_TRUE(facts.receive_buffer && !facts.pings);
    CU_ASSERT_TRUE(facts.udp && !facts.tcp && facts.server_mode && facts.management && facts.multihome);
    CU_ASSERT_TRUE(facts.drops_privilege && !facts.persist_key && !facts.bound_socket);
    CU_ASSERT_EQUAL(facts.reneg_sec, 0);
    CU_ASSERT_EQUAL(facts.hand_window, 90);
    CU_ASSERT_EQUAL(facts.max_clients, 50);
    CU_ASSERT_STRING_EQUAL(facts.iv_sso, "webauth,openurl");
    CU_ASSERT_STRING_EQUAL(facts.exporter, "EXPORTER-other");
}

static void test_openvpn_settings_words_in_inline_files_and_comments_are_not_options(void)
{
    file("<ca>\nproto tcp\nmanagement x y\n</ca>\n#proto tcp\n;secret k\n<tls-crypt>\nmultihome\n</tls-crypt>\nverb 3 # proto tcp\n");
    CU_ASSERT_FALSE(facts.tcp || facts.management || facts.multihome || facts.static_key);
    file("<ca>\nproto tcp\n"); /* never closed: the rest is a certificate */
    CU_ASSERT_FALSE(facts.tcp);
}

static void test_openvpn_settings_tcp_is_found_wherever_it_may_be_said(void)
{
    file("proto tcp-client\n");
    CU_ASSERT_TRUE(facts.tcp && !facts.udp);
    file("remote a.example 443 tcp\nremote b.example 1194 udp\n");
    CU_ASSERT_TRUE(facts.tcp && facts.udp);
    file("<connection>\nremote a 1\nproto tcp4\n</connection>\n");
    CU_ASSERT_TRUE(facts.tcp && !facts.udp && facts.connection_blocks);
    file("proto udp\nproto tcp\nremote a 1\n"); /* the last one counts */
    CU_ASSERT_TRUE(facts.tcp && !facts.udp);
    file("proto tcp\nremote a 1\nremote b 1 udp\n");
    CU_ASSERT_TRUE(facts.tcp && facts.udp);
    file("proto tcp\nremote a 1 udp\n"); /* nobody uses the general one */
    CU_ASSERT_TRUE(!facts.tcp && facts.udp);
    file("<connection>\nremote a 1\n</connection>\n<connection>\nremote b 1 tcp\n</connection>\n");
    CU_ASSERT_TRUE(facts.tcp && facts.udp);
}

static void test_openvpn_settings_a_connect_timeout_in_a_block_is_told_from_one_outside(void)
{
    file("<connection>\nremote a 1 udp\nconnect-timeout 5\n</connection>\n");
    CU_ASSERT_TRUE(facts.block_connect_timeout);
    file("connect-timeout 5\n<connection>\nremote a 1 udp\n</connection>\n");
    CU_ASSERT_FALSE(facts.block_connect_timeout);
    CU_ASSERT_EQUAL(facts.connect_timeout, 5);
}

static void test_openvpn_settings_the_command_line_counts_too(void)
{
    static const char words[] = "openvpn\0--proto\0tcp\0--config\0/nowhere/work.conf\0--max-clients\0" "7\0--multihome";

    jump_settings_facts_begin(&facts);
    jump_settings_facts_take_command(&facts, words, sizeof words);
    jump_settings_facts_finish(&facts);
    CU_ASSERT_TRUE(facts.tcp && facts.multihome && facts.unreadable);
    CU_ASSERT_EQUAL(facts.max_clients, 7);
    CU_ASSERT_STRING_EQUAL(facts.path, "/nowhere/work.conf");
    CU_ASSERT_STRING_EQUAL(facts.stem, "work");
}

static void test_openvpn_settings_a_bare_argument_is_the_file(void)
{
    static const char words[] = "/usr/sbin/openvpn\0/nowhere/gate.v2.ovpn";

    jump_settings_facts_begin(&facts);
    jump_settings_facts_take_command(&facts, words, sizeof words);
    jump_settings_facts_finish(&facts);
    CU_ASSERT_STRING_EQUAL(facts.stem, "gate.v2");
}

static void take_file_at(const char *path)
{
    char words[400];
    int len = snprintf(words, sizeof words, "openvpn%c--config%c%s", 0, 0, path);

    jump_settings_facts_begin(&facts);
    jump_settings_facts_take_command(&facts, words, (size_t)len + 1);
    jump_settings_facts_finish(&facts);
}

static void test_openvpn_settings_a_fifo_and_a_folder_are_no_configuration_but_a_long_file_is(void)
{
    static char text[40000];
    struct scratch scratch;

    scratch_open(&scratch);
    CU_ASSERT_EQUAL(mkfifo(scratch_path(&scratch, "fifo"), 0600), 0);
    take_file_at(scratch_path(&scratch, "fifo"));
    CU_ASSERT_TRUE(facts.unreadable); /* OpenVPN has read it: here it would look empty, and every fact a default */
    take_file_at(scratch.folder);
    CU_ASSERT_TRUE(facts.unreadable);
    memset(text, '\n', sizeof text);
    strcpy(text + sizeof text - 20, "reneg-sec 77\n");
    scratch_write(scratch_path(&scratch, "long"), text, sizeof text - 1);
    take_file_at(scratch_path(&scratch, "long"));
    CU_ASSERT_TRUE(!facts.unreadable && facts.reneg_sec == 77);
    scratch_close(&scratch);
}

static void test_openvpn_settings_any_text_at_all_is_survived(void)
{
    uint64_t random = 3;
    char text[600];

    for (unsigned round = 0; round < 5000; round++) {
        static const char alphabet[] = "<>/\"'\\# \t\n;proto tcp-remove setenv IV_SSO hand-window 12 connection\0";

        for (size_t i = 0; i < sizeof text; i++)
            text[i] = alphabet[runner_random(&random) % sizeof alphabet];
        jump_settings_facts_begin(&facts);
        jump_settings_facts_take_file(&facts, text, sizeof text);
        jump_settings_facts_finish(&facts);
        CU_ASSERT_FATAL(facts.udp || facts.tcp);
    }
}

#define TESTS(X)                                                                       \
    X(test_openvpn_settings_a_role_is_all_that_is_needed)                              \
    X(test_openvpn_settings_every_key_is_taken)                                        \
    X(test_openvpn_settings_mistakes_are_named_in_one_line)                            \
    X(test_openvpn_settings_too_long_values_are_refused)                               \
    X(test_openvpn_settings_a_stem_that_cannot_be_a_name_asks_for_one)                 \
    X(test_openvpn_settings_nothing_said_means_openvpns_defaults)                      \
    X(test_openvpn_settings_who_makes_clients_ping)                                    \
    X(test_openvpn_settings_options_are_read_as_openvpn_reads_them)                    \
    X(test_openvpn_settings_words_in_inline_files_and_comments_are_not_options)        \
    X(test_openvpn_settings_tcp_is_found_wherever_it_may_be_said)                      \
    X(test_openvpn_settings_a_connect_timeout_in_a_block_is_told_from_one_outside)     \
    X(test_openvpn_settings_the_command_line_counts_too)                               \
    X(test_openvpn_settings_a_bare_argument_is_the_file)                               \
    X(test_openvpn_settings_a_fifo_and_a_folder_are_no_configuration_but_a_long_file_is) \
    X(test_openvpn_settings_any_text_at_all_is_survived)

RUN_TESTS("openvpn_settings", TESTS)
