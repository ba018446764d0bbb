/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target management: what OpenVPN writes into its management socket (adapters/openvpn/management.c).
 *
 * What an attacker gains here: names and addresses of clients stand in the status that is read here. A client whose name looks
 * like a row, or a column, could have another client ended in place of itself, or stay when it should end.
 *
 * Asserted: every command that is written is one of the three that there are, with numbers in it and nothing else; no more
 * clients are ended than were asked for; a `kill` names an address that was asked for; what waits is bounded. Where the rows are
 * the harness's own: only who is asked for is ended, by its own number.
 *
 * Input: how many ends are asked for (0 to 3; from 0xf0 on the rows are the harness's), three bytes for each, then the bytes of
 * the other end, or of its rows: which columns come first, then for each row five bytes.
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

/* Who was asked for, and of whom the status tells: client-id 1000 + n. */
static struct jump_management_instance asked[ROOM];
static char names[ROOM][16], tunnels[ROOM][16];
static unsigned asked_len;
static struct row {
    char name[16], address[64], tunnel[16];
    unsigned peer;
} rows[8];
static unsigned rows_len;
static bool own_rows;

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
    if (own_rows) {
        (void)snprintf(names[asked_len], sizeof names[0], "%s", how & 32 ? "client" : how & 2 ? "clients" : "");
        (void)snprintf(tunnels[asked_len], sizeof tunnels[0], "10.8.0.%u", last % 4u);
        one.common_name = names[asked_len];
        one.tunnel = how & 4 ? tunnels[asked_len] : NULL;
        one.peer_id = how & 1 ? number % 4 : UINT32_MAX;
        one.shown.ip[15] = last % 4;
        how |= 16; /* all by the status */
    }
    asked[asked_len++] = one;
    FUZZ_MUST(jump_management_kill(m, &one, (how & 16) || !(how & 8)));
}

/* A row may be whose end was asked for: by its number, or by address and name. */
static bool may_be(const struct row *row, const struct jump_management_instance *one)
{
    char real[64];
    if (one->peer_id != UINT32_MAX)
        return row->peer == one->peer_id;
    if (one->shown.ip[0] == 0)
        (void)snprintf(real, sizeof real, "192.0.2.%u:%u", one->shown.ip[15], one->shown.port);
    else
        (void)snprintf(real, sizeof real, "2001:db8::%x", one->shown.ip[15]);
    return strcmp(row->address, real) == 0 && (one->common_name[0] == '\0' || strcmp(row->name, one->common_name) == 0);
}

/* A status as OpenVPN writes it, its columns in one of two orders. */
static size_t status(char *out, size_t cap, struct fuzz_bytes *in)
{
    bool other = fuzz_u8(in) & 1;
    size_t len = (size_t)snprintf(out, cap, "HEADER\tCLIENT_LIST\t%s\r\n",
                                  other ? "Peer ID\tCommon Name\tVirtual Address\tClient ID\tReal Address"
                                        : "Common Name\tReal Address\tVirtual Address\tClient ID\tPeer ID");
    for (rows_len = 0; rows_len < 8 && fuzz_left(in) > 0; rows_len++) {
        struct row *row = &rows[rows_len];
        uint8_t how = fuzz_u8(in), last = fuzz_u8(in) % 4;
        row->peer = how & 3;
        (void)snprintf(row->name, sizeof row->name, "%s", how & 4 ? "client" : how & 8 ? "clients" : "CLIENT_LIST");
        (void)snprintf(row->tunnel, sizeof row->tunnel, "10.8.0.%u", how >> 4 & 3u);
        if (how & 64)
            (void)snprintf(row->address, sizeof row->address, "192.0.2.%u:%u", last, how & 128 ? 1195u : 1194u);
        else
            (void)snprintf(row->address, sizeof row->address, "2001:db8::%x", last);
        if (other)
            len += (size_t)snprintf(out + len, cap - len, "CLIENT_LIST\t%u\t%s\t%s\t%u\t%s\r\n", row->peer, row->name, row->tunnel,
                                    1000 + rows_len, row->address);
        else
            len += (size_t)snprintf(out + len, cap - len, "CLIENT_LIST\t%s\t%s\t%s\t%u\t%u\r\n", row->name, row->address,
                                    row->tunnel, 1000 + rows_len, row->peer);
    }
    return len + (size_t)snprintf(out + len, cap - len, "END\r\n");
}

static void was_asked_for(const char *command, const char *end)
{
    bool any = false;
    if (memcmp(command, "kill ", 5) == 0) {
        for (unsigned i = 0; i < asked_len; i++) {
            char text[64];
            int len = snprintf(text, sizeof text, "kill 192.0.2.%u:%u", asked[i].shown.ip[15], asked[i].shown.port);
            any = any || (len == end - command && memcmp(text, command, (size_t)len) == 0);
        }
        FUZZ_MUST(any);
    } else if (own_rows) {
        unsigned long client = strtoul(command + 12, NULL, 10);
        FUZZ_MUST(client >= 1000 && client < 1000 + rows_len);
        for (unsigned i = 0; i < asked_len; i++)
            any = any || may_be(&rows[client - 1000], &asked[i]);
        FUZZ_MUST(any);
    }
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
        was_asked_for(at, line_end);
    }
    return ends;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes in = fuzz_bytes(data, size);
    struct jump_problem problem;
    struct jump_management *m = jump_management_open(address.sun_path, ROOM);
    uint8_t first = fuzz_u8(&in);
    unsigned wanted = first % ROOM;
    char text[2048];
    const uint8_t *bytes;
    size_t len;
    FUZZ_MUST(m != NULL && jump_management_connect(m, &problem));
    int fd = accept(listener, NULL, NULL);
    FUZZ_MUST(fd >= 0);
    said_len = 0;
    asked_len = rows_len = 0;
    own_rows = first >= 0xf0;
    for (unsigned i = 0; i < wanted; i++)
        ask(m, &in);
    if (own_rows) {
        size_t text_len = status(text, sizeof text, &in);
        in = fuzz_bytes(NULL, 0);
        FUZZ_MUST(send(fd, text, text_len, MSG_NOSIGNAL) == (ssize_t)text_len);
        jump_management_run(m);
        listen_to(fd);
    }
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
