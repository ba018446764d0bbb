/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The management client with many ends at once (adapters/openvpn/management.c). The other end is this program, which, as
 * OpenVPN, reads nothing until the client has returned. Read next: adapters/openvpn/management.h.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "openvpn/management.h"
#include "runner.h"
#include "scratch.h"

#define PEERS 2000u

static const char header[] = "TITLE\tOpenVPN\r\nHEADER\tCLIENT_LIST\tCommon Name\tReal Address\tClient ID\tPeer ID\r\n";

static struct jump_management *client;
static struct scratch scratch;
static int server;
static char line[256];
static size_t line_len;
static unsigned ended[PEERS], statuses, others;

static struct jump_path path_of(unsigned n)
{
    struct jump_path path = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 10 }, .port = 1194 };
    path.ip[14] = (uint8_t)(n >> 8);
    path.ip[15] = (uint8_t)n;
    return path;
}

static bool kill_one(const struct jump_path *shown, uint32_t peer_id, bool inet6)
{
    const struct jump_management_instance instance = { .shown = *shown, .peer_id = peer_id, .common_name = "name" };
    return jump_management_kill(client, &instance, inet6);
}

static void begin(size_t room)
{
    struct jump_problem problem;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    scratch_open(&scratch);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s/m", scratch.folder);
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
    client = jump_management_open(address.sun_path, room);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT_TRUE_FATAL(jump_management_connect(client, &problem));
    server = accept(listener, NULL, NULL);
    close(listener);
    memset(ended, 0, sizeof ended);
    statuses = others = 0;
    line_len = 0;
}

static void end(void)
{
    jump_management_close(client);
    close(server);
    scratch_close(&scratch);
}

static void answer(const char *text)
{
    size_t len = strlen(text);
    while (len > 0) { /* the client takes what does not fit */
        ssize_t n = send(server, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        } else {
            jump_management_run(client);
        }
    }
}

static void answer_status(unsigned clients)
{
    answer(header);
    for (unsigned n = 0; n < clients; n++) {
        char row[128];
        (void)snprintf(row, sizeof row, "CLIENT_LIST\tname\t10.0.%u.%u:1194\t%u\t%u\r\n", n >> 8, n & 255, n + 5000, n);
        answer(row);
    }
    answer("END\r\n");
}

/* All that the client has sent so far. */
static void read_all(void)
{
    char bytes[1024];
    ssize_t n;
    while ((n = recv(server, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            unsigned a, b, id;
            if (bytes[i] != '\n') {
                CU_ASSERT_TRUE_FATAL(line_len < sizeof line - 1);
                line[line_len++] = bytes[i];
                continue;
            }
            line[line_len] = '\0';
            line_len = 0;
            if (sscanf(line, "kill 10.0.%u.%u:1194", &a, &b) == 2)
                ended[a << 8 | b]++;
            else if (sscanf(line, "client-kill %u", &id) == 1)
                ended[id - 5000]++;
            else if (strcmp(line, "status 3") == 0)
                statuses++;
            else
                others++;
        }
}

static unsigned each_once(unsigned n)
{
    unsigned good = 0;
    for (unsigned i = 0; i < PEERS; i++)
        good += ended[i] == (i < n);
    return good;
}

static void turn(unsigned clients)
{
    unsigned before = statuses;
    read_all();
    if (statuses > before)
        answer_status(clients);
    jump_management_run(client);
}

static void test_openvpn_management_two_thousand_ends_at_once_on_an_ipv4_socket(void)
{
    begin(PEERS);
    for (unsigned n = 0; n < PEERS; n++) {
        struct jump_path path = path_of(n);
        CU_ASSERT_TRUE(kill_one(&path, n, false));
    }
    CU_ASSERT_TRUE(jump_management_waiting(client) > 0); /* more than socket and buffer hold: the test is one */
    for (int i = 0; i < 100; i++)
        turn(0);
    CU_ASSERT_EQUAL(jump_management_waiting(client), 0);
    CU_ASSERT_EQUAL(each_once(PEERS), PEERS);
    CU_ASSERT_EQUAL(others, 0);
    CU_ASSERT_EQUAL(jump_management_lost(client), 0);
    end();
}

static void test_openvpn_management_two_thousand_ends_at_once_on_an_ipv6_socket(void)
{
    begin(PEERS);
    for (unsigned n = 0; n < PEERS; n++) {
        struct jump_path path = path_of(n);
        CU_ASSERT_TRUE(kill_one(&path, n % 3 == 0 ? UINT32_MAX : n, true));
    }
    for (int i = 0; i < 100; i++)
        turn(PEERS);
    CU_ASSERT_EQUAL(jump_management_waiting(client), 0);
    CU_ASSERT_EQUAL(each_once(PEERS), PEERS);
    CU_ASSERT_TRUE(statuses >= 2 && statuses < 20); /* in turns, and not one for each */
    CU_ASSERT_EQUAL(others, 0);
    CU_ASSERT_EQUAL(jump_management_lost(client), 0);
    end();
}

static void test_openvpn_management_who_is_not_in_the_list_is_gone_and_nobody_else_is_ended(void)
{
    begin(4);
    for (unsigned n = 8; n < 12; n++) {
        struct jump_path path = path_of(n);
        CU_ASSERT_TRUE(kill_one(&path, n, true));
    }
    for (int i = 0; i < 5; i++)
        turn(10);
    CU_ASSERT_EQUAL(jump_management_waiting(client), 0);
    CU_ASSERT_TRUE(ended[8] == 1 && ended[9] == 1);
    for (unsigned n = 0; n < PEERS; n++)
        CU_ASSERT_TRUE(ended[n] == 0 || n == 8 || n == 9);
    end();
}

static void test_openvpn_management_an_instance_that_went_by_itself_is_forgotten(void)
{
    struct jump_path first = path_of(1), second = path_of(2);
    begin(4);
    CU_ASSERT_TRUE(kill_one(&first, 1, true));
    CU_ASSERT_TRUE(kill_one(&second, 2, true));
    jump_management_forget(client, &first);
    for (int i = 0; i < 5; i++)
        turn(10);
    CU_ASSERT_TRUE(ended[1] == 0 && ended[2] == 1);
    CU_ASSERT_EQUAL(jump_management_waiting(client), 0);
    end();
}

static void test_openvpn_management_over_a_rest_a_quiet_connection_stays(void)
{
    struct jump_path path = path_of(1);
    short events;

    begin(PEERS);
    jump_management_rest(client);
    CU_ASSERT_TRUE(jump_management_fd(client, &events) >= 0);
    CU_ASSERT_TRUE(kill_one(&path, 1, false));
    end();
}

static void test_openvpn_management_over_a_rest_a_half_heard_answer_is_nobodys(void)
{
    struct jump_path path = path_of(1);
    short events;

    begin(PEERS);
    CU_ASSERT_TRUE(kill_one(&path, 1, true)); /* status 3 is on its way */
    jump_management_rest(client);
    CU_ASSERT_TRUE(jump_management_fd(client, &events) < 0);
    CU_ASSERT_FALSE(kill_one(&path, 1, true));
    end();
}

static void test_openvpn_management_what_is_lost_is_counted_and_a_full_queue_says_so(void)
{
    begin(3);
    for (unsigned n = 0; n < 4; n++) {
        struct jump_path path = path_of(n);
        CU_ASSERT_EQUAL(kill_one(&path, n, true), n < 3);
    }
    close(server);
    jump_management_run(client);
    CU_ASSERT_EQUAL(jump_management_lost(client), 3);
    CU_ASSERT_EQUAL(jump_management_lost(client), 0);
    struct jump_path path = path_of(7);
    CU_ASSERT_FALSE(kill_one(&path, 7, true));
    end();
    begin(3); /* another form of status than the one we know */
    CU_ASSERT_TRUE(kill_one(&path, 7, true));
    read_all();
    answer("CLIENT LIST\r\nname,10.0.0.7:1194\r\nEND\r\n");
    jump_management_run(client);
    CU_ASSERT_EQUAL(jump_management_lost(client), 1);
    CU_ASSERT_EQUAL(jump_management_waiting(client), 0);
    end();
}

/* Native IPv6 addresses stand there without a port. */
static struct jump_path ipv6(uint8_t n, uint16_t port)
{
    struct jump_path path = { .ip = { 0x20, 0x01, 0x0d, 0xb8 }, .port = port };
    path.ip[15] = n;
    return path;
}

static void kill_ipv6(uint8_t n, uint16_t port, const char *name, const char *tunnel)
{
    const struct jump_management_instance instance = { .shown = ipv6(n, port), .peer_id = UINT32_MAX, .common_name = name, .tunnel = tunnel };
    CU_ASSERT_TRUE(jump_management_kill(client, &instance, true));
}

static const char long_header[] = "HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tClient ID\tPeer ID\r\n";

/* Whatever is asked for now is answered with these rows. @return how often that was */
static unsigned status_is(const char *rows)
{
    unsigned before = statuses, answered = 0;
    jump_management_run(client);
    read_all();
    for (; before + answered < statuses && answered < 10; answered++) {
        answer(long_header);
        answer(rows);
        answer("END\r\n");
        jump_management_run(client);
        read_all();
    }
    return answered;
}

static void test_openvpn_management_an_ipv6_address_has_no_port_there(void)
{
    begin(8);
    kill_ipv6(0x77, 40000, "me", NULL); /* the port is not looked at, nor taken out of somebody's address */
    kill_ipv6(1, 5, NULL, NULL);
    status_is("CLIENT_LIST\tme\t2001:db8::77\t10.8.0.2\t5000\t0\r\n"
              "CLIENT_LIST\tvictim\t2001:db8::1:5\t10.8.0.3\t5001\t1\r\n"
              "CLIENT_LIST\tother\t2001:db8::1\t10.8.0.4\t5002\t2\r\n");
    CU_ASSERT_TRUE(ended[0] == 1 && ended[1] == 0 && ended[2] == 1);
    CU_ASSERT_EQUAL(jump_management_waiting(client), 0);
    CU_ASSERT_FALSE(jump_management_unclear(client));
    end();
}

static void test_openvpn_management_of_several_at_one_address_the_right_one_is_ended_or_nobody(void)
{
    begin(8);
    kill_ipv6(1, 5, "me", "10.8.0.3");
    kill_ipv6(2, 5, "me", "10.8.0.99"); /* a script gave it another address */
    kill_ipv6(3, 5, "me", NULL);
    kill_ipv6(4, 5, "me", NULL);
    status_is("CLIENT_LIST\tme\t2001:db8::1\t10.8.0.2\t5000\t0\r\n"
              "CLIENT_LIST\tme\t2001:db8::1\t10.8.0.3\t5001\t1\r\n"
              "CLIENT_LIST\tyou\t2001:db8::2\t10.8.0.4\t5002\t2\r\n"
              "CLIENT_LIST\tme\t2001:db8::2\t10.8.0.5\t5003\t3\r\n"
              "CLIENT_LIST\tme\t2001:db8::3\t10.8.0.6\t5004\t4\r\n"
              "CLIENT_LIST\tme\t2001:db8::3\t10.8.0.7\t5005\t5\r\n"
              "CLIENT_LIST\tyou\t2001:db8::4\t10.8.0.8\t5006\t6\r\n");
    CU_ASSERT_TRUE(ended[0] == 0 && ended[1] == 1 && ended[2] == 0 && ended[3] == 1 && ended[4] == 0 && ended[5] == 0 && ended[6] == 0);
    CU_ASSERT_EQUAL(jump_management_waiting(client), 1); /* the third: told apart by nothing */
    CU_ASSERT_TRUE(jump_management_unclear(client));
    CU_ASSERT_EQUAL(status_is(""), 0); /* in its own time, not in a circle */
    kill_ipv6(5, 5, "me", NULL);  /* another's question takes it along */
    status_is("CLIENT_LIST\tme\t2001:db8::3\t10.8.0.6\t5004\t4\r\nCLIENT_LIST\tme\t2001:db8::3\t10.8.0.7\t5005\t5\r\n");
    CU_ASSERT_EQUAL(jump_management_waiting(client), 1);
    jump_management_again(client); /* by now one of the two is gone */
    status_is("CLIENT_LIST\tme\t2001:db8::3\t10.8.0.7\t5005\t5\r\n");
    CU_ASSERT_TRUE(ended[4] == 0 && ended[5] == 1);
    CU_ASSERT_EQUAL(jump_management_waiting(client), 0);
    CU_ASSERT_EQUAL(jump_management_lost(client), 0);
    end();
}

#define TESTS(X)                                                                               \
    X(test_openvpn_management_two_thousand_ends_at_once_on_an_ipv4_socket)                     \
    X(test_openvpn_management_two_thousand_ends_at_once_on_an_ipv6_socket)                     \
    X(test_openvpn_management_who_is_not_in_the_list_is_gone_and_nobody_else_is_ended)         \
    X(test_openvpn_management_an_instance_that_went_by_itself_is_forgotten)                    \
    X(test_openvpn_management_over_a_rest_a_quiet_connection_stays)                            \
    X(test_openvpn_management_over_a_rest_a_half_heard_answer_is_nobodys)                      \
    X(test_openvpn_management_an_ipv6_address_has_no_port_there)                               \
    X(test_openvpn_management_of_several_at_one_address_the_right_one_is_ended_or_nobody)      \
    X(test_openvpn_management_what_is_lost_is_counted_and_a_full_queue_says_so)

RUN_TESTS("openvpn_management", TESTS)
