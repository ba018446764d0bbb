/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target netlink: what the kernel says of links, addresses and routes (adapters/system/netlink.c).
 *
 * What an attacker gains here: only the kernel is listened to (its datagrams come from port 0), but names of links and lists of
 * routes are others' to choose, in a container by its guest; lengths stand in the messages, and newer kernels say more.
 *
 * Asserted: nothing behind a datagram is read; what comes from another sender is nothing; lists never hold more than was asked for; names end; a link that is
 * ignored or the loopback is in no change; every question comes to an end.
 *
 * Input: a question, then datagrams: a byte (bit 0: from another sender; bits 1-7: how much, times 4) and the bytes. A sequence
 * number of -1 becomes that of the question.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "system/netlink.h"

/* A datagram stands in a larger buffer: what is behind it is nobody's to read. */
#if defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#endif
#ifdef POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#endif

ssize_t __wrap_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *from, socklen_t *from_len);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *socket, const void *bytes, size_t len);
uint32_t __wrap_mnl_attr_get_u32(const struct nlattr *attribute);

static struct jump_netlink *netlink;
static struct fuzz_bytes in;
static uint32_t asked;
static unsigned received, of_others;
static uint8_t *buffer; /* the reader's own */
static size_t buffer_len;

/* libmnl's reads are not seen by ASan. */
uint32_t __wrap_mnl_attr_get_u32(const struct nlattr *attribute)
{
    uint32_t value;
    FUZZ_MUST(mnl_attr_get_payload_len(attribute) == sizeof value);
    memcpy(&value, mnl_attr_get_payload(attribute), sizeof value);
    return value;
}

/* The linker puts these two in the place of the kernel. */
ssize_t __wrap_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
    struct sockaddr_nl sender = { .nl_family = AF_NETLINK };
    const uint8_t *content;
    size_t content_len;
    (void)fd, (void)flags;
    FUZZ_MUST(*from_len >= sizeof sender && received++ < 100000);
    ASAN_UNPOISON_MEMORY_REGION(bytes, len);
    buffer = bytes;
    buffer_len = len;
    if (fuzz_left(&in) == 0) {
        errno = EAGAIN;
        return -1;
    }
    uint8_t how = fuzz_u8(&in);
    content = fuzz_take(&in, &content_len, (how >> 1) * 4u);
    sender.nl_pid = how & 1 ? 4711 : 0;
    of_others += how & 1;
    memcpy(from, &sender, sizeof sender);
    if (content_len == 0 && how == 0) {
        errno = ENOBUFS;
        return -1;
    }
    FUZZ_MUST(content_len <= len);
    if (content_len > 0)
        memcpy(bytes, content, content_len);
    for (size_t at = 0; at + sizeof(struct nlmsghdr) <= content_len;) {
        struct nlmsghdr header;
        memcpy(&header, (uint8_t *)bytes + at, sizeof header);
        if (header.nlmsg_seq == UINT32_MAX) {
            header.nlmsg_seq = asked;
            memcpy((uint8_t *)bytes + at, &header, sizeof header);
        }
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > content_len - at) {
            memset((uint8_t *)bytes + at, 0, sizeof header); /* libmnl itself trusts a length above 2^31 */
            break;
        }
        at += NLMSG_ALIGN(header.nlmsg_len);
    }
    ASAN_POISON_MEMORY_REGION(buffer + content_len, len - content_len);
    return (ssize_t)content_len;
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *socket, const void *bytes, size_t len)
{
    struct nlmsghdr header;
    (void)socket;
    FUZZ_MUST(len >= sizeof header);
    memcpy(&header, bytes, sizeof header);
    FUZZ_MUST(header.nlmsg_len == len);
    asked = header.nlmsg_seq;
    return (ssize_t)len;
}

static void changes(void)
{
    struct jump_netlink_change out[8];
    size_t len = 99;
    bool overrun = false, any;
    unsigned others = of_others, datagrams = received;
    any = jump_netlink_drain(netlink, out, 8, &len, &overrun);
    FUZZ_MUST(len <= 8 && any == (overrun || len > 0));
    FUZZ_MUST(!any || received - datagrams > of_others - others);
    for (size_t i = 0; i < len; i++)
        FUZZ_MUST(out[i].ifindex != 1 && out[i].ifindex != 7 && out[i].kind <= JUMP_NETLINK_ROUTE_REMOVED);
}

static void uplinks(const struct jump_path *dst, const struct jump_netlink_flow *flow)
{
    struct jump_netlink_uplink list[4];
    size_t len = jump_netlink_uplinks(netlink, list, 4, dst, flow);
    FUZZ_MUST(len <= 4);
    for (size_t i = 0; i < len; i++) {
        FUZZ_MUST(memchr(list[i].name, '\0', sizeof list[i].name) != NULL && list[i].name[0] != '\0');
        FUZZ_MUST(list[i].ifindex != 7);
        for (size_t k = 0; k < i; k++)
            FUZZ_MUST(list[k].ifindex != list[i].ifindex);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jump_problem problem;
    struct jump_path dst = { .ip = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }, .port = 1194 }, source;
    struct jump_netlink_flow flow = { .source_known = true, .source = { .ip = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 } }, .port = 5000 };
    char name[IF_NAMESIZE];
    unsigned ifindex;
    in = fuzz_bytes(data, size);
    received = of_others = 0;
    asked = 0;
    netlink = jump_netlink_open(&problem); /* it keeps the state of links: each input has its own */
    FUZZ_MUST(netlink != NULL && jump_netlink_ignore(netlink, 7));
    uint8_t what = fuzz_u8(&in);
    if (what & 128)
        dst = (struct jump_path){ .ip = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, .port = 1194 };
    for (unsigned i = 0; i < 8 && fuzz_left(&in) > 0; i++) {
        switch (what & 7) {
        case 0:
        case 1:
            changes();
            break;
        case 2:
            uplinks(&dst, what & 64 ? &flow : NULL);
            break;
        case 3:
            (void)jump_netlink_sole_choice(netlink, &dst, 2);
            break;
        case 4:
            if (jump_netlink_source(netlink, &source, &ifindex, &dst, what & 32 ? 2 : 0, what & 64 ? &flow : NULL) == 0)
                FUZZ_MUST(ifindex != 0);
            break;
        case 5:
            if (jump_netlink_name(netlink, name, 2))
                FUZZ_MUST(memchr(name, '\0', sizeof name) != NULL && name[0] != '\0');
            break;
        case 6:
            (void)jump_netlink_index(netlink, "eth0");
            break;
        default:
            (void)jump_netlink_link_down(netlink, 2);
            break;
        }
    }
    if (buffer != NULL)
        ASAN_UNPOISON_MEMORY_REGION(buffer, buffer_len);
    buffer = NULL;
    jump_netlink_close(netlink);
    return 0;
}
