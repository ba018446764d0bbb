/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target management: what OpenVPN writes into its management socket (adapters/openvpn/management.c).
 *
 * What an attacker gains here: names and addresses of clients stand in the status that is read here. A client whose name looks
 * like a row, or a column, could have another client ended in place of itself, or stay when it should end.
 *
 * Asserted: every command that is written is one of the three that there are, with numbers in it and nothing else; no more
 * clients are ended than were asked for; a `kill` names an address that was asked for; what waits is bounded.
 *
 * Input: how many ends are asked for (0 to 3), three bytes for each, then the bytes of the other end.
 */
#include <ctype.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "openvpn/management.h"
#include "scratch.h"

#define ROOM 4

static struct scratch scratch;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int listener = -1;
static char said[16384];
static size_t said_len;

static void end(void)
{
    scratch_close(&scratch);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    scratch_open(&scratch);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s/m", scratch.folder);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_MUST(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    (void)atexit(end);
    return 0;
}

static void ask(struct jump_management *m, struct fuzz_bytes *in)
{
    uint8_t how = fuzz_u8(in), number = fuzz_u8(in), last = fuzz_u8(in);
    struct jump_management_instance one = { .peer_id = how & 1 ? number : UINT32_MAX, .common_name = how & 2 ? "client" : "",
                                            .tunnel = how & 4 ? "10.8.0.2" : NULL };
    one.shown = (struct jump_path){ .ip = { 0x20, 0x01, 0x0d, 0xb8, [15] = last }, .port = 1194 };
    if (how & 8)
        one.shown = (struct jump_path){ .ip = { [10] = 0xff, [11] = 0xff, 192, 0, 2, last }, .port = 1194 };
    FUZZ_MUST(jump_management_kill(m, &one, (how & 16) || !(how & 8)));
}

static void listen_to(int fd)
{
    for (ssize_t got; said_len < sizeof said && (got = recv(fd, said + said_len, sizeof said - said_len, MSG_DONTWAIT)) > 0;)
        said_len += (size_t)got;
}

static bool only(const char *text, const char *end, const char *allowed)
{
    for (; text < end; text++)
        if (strchr(allowed, *text) == NULL || *text == '\0')
            return false;
    return true;
}

/* @return how many clients the commands end */
static unsigned judge(void)
{
    unsigned ends = 0;
    FUZZ_MUST(said_len == 0 || said[said_len - 1] == '\n');
    for (const char *at = said, *line_end; at < said + said_len; at = line_end + 1) {
        line_end = memchr(at, '\n', (size_t)(said + said_len - at));
        size_t len = (size_t)(line_end - at);
        if (len == 8 && memcmp(at, "status 3", 8) == 0)
            continue;
        ends++;
        if (len > 12 && memcmp(at, "client-kill ", 12) == 0)
            FUZZ_MUST(only(at + 12, line_end, "0123456789"));
        else
            FUZZ_MUST(len > 15 && memcmp(at, "kill 192.0.2.", 13) == 0 && only(at + 13, line_end, "0123456789:"));
    }
    return ends;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes in = fuzz_bytes(data, size);
    struct jump_problem problem;
    struct jump_management *m = jump_management_open(address.sun_path, ROOM);
    unsigned wanted = fuzz_u8(&in) % ROOM;
    const uint8_t *bytes;
    size_t len;
    FUZZ_MUST(m != NULL && jump_management_connect(m, &problem));
    int fd = accept(listener, NULL, NULL);
    FUZZ_MUST(fd >= 0);
    said_len = 0;
    for (unsigned i = 0; i < wanted; i++)
        ask(m, &in);
    while (fuzz_left(&in) > 0) {
        bytes = fuzz_take(&in, &len, 1 + fuzz_u8(&in) * 8u);
        if (len > 0 && send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        jump_management_run(m);
        if (jump_management_unclear(m))
            jump_management_again(m);
        listen_to(fd);
        FUZZ_MUST(jump_management_waiting(m) <= wanted);
    }
    FUZZ_MUST(judge() <= wanted);
    (void)close(fd);
    jump_management_run(m);
    FUZZ_MUST(jump_management_lost(m) <= 2 * wanted);
    jump_management_close(m);
    return 0;
}
