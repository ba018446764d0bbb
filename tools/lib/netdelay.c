/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netdelay: a wire between two network interfaces with delay, jitter, loss, damage, rate and black holes.
 *
 * It owns the frames in flight between the two interfaces, for kernels that have no netem.
 * It refuses to know what is inside a frame: no addresses, no ports, no OpenVPN.
 * Read next: lab/network.py, which puts it between the router and the server and steers it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* The kernel hands out frames of up to 64 KiB (segmentation offload), plus the two headers. */
#define FRAME_BYTES (65536 + ETH_HLEN + (int)sizeof(struct virtio_net_hdr))
#define QUEUE_FRAMES 8192u
#define FRAMES_PER_TURN 64
/* No bit is turned before this: a frame that no longer finds its way shows nothing that loss does not. */
#define LEAST_CORRUPTED 64
/* What waits longer than this for the rate limit is dropped, as a router with a full buffer would. */
#define RATE_BACKLOG_NS (200 * NS_PER_MS)

/* What can be set at start and while running. Both directions are alike. */
struct setting {
	double delay_ms;
	double jitter_ms;
	double loss_percent;
	double corrupt_percent;   /* one bit is turned */
	double duplicate_percent; /* comes twice */
	double reorder_percent;   /* changes places with the frame before it, where there is one */
	double rate_kbit; /* 0: no limit */
	bool hole;
};

struct frame {
	int64_t due_at;
	size_t length;
	unsigned char *bytes; /* virtio_net_hdr, then the Ethernet frame */
};

/* One direction of the wire. Frames keep their order: jitter stretches the spacing only. */
struct lane {
	int from;
	int to;
	struct frame queue[QUEUE_FRAMES];
	unsigned head;
	unsigned tail;
	int64_t rate_busy_until;
	uint64_t passed;
	uint64_t dropped;
	uint64_t corrupted;
	uint64_t duplicated;
	uint64_t reordered;
};

static struct lane lanes[2];
static unsigned char buffer[FRAME_BYTES];

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "netdelay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_interface(const char *name)
{
	int one = 1;
	int bytes = 8 << 20;
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	struct packet_mreq promiscuous = {
		.mr_ifindex = address.sll_ifindex,
		.mr_type = PACKET_MR_PROMISC,
	};
	/* Protocol 0 until bind: frames of other interfaces must not slip in before it. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/*
	 * PACKET_VNET_HDR carries unfinished checksums and unsegmented frames across as they are, so
	 * offloads may stay on. IGNORE_OUTGOING keeps our own output from coming back as input.
	 */
	if (fd < 0 || address.sll_ifindex == 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die(name);
	return fd;
}

static int open_control(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(address.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die(path);
	return fd;
}

/* One word such as delay=10 or hole=on. False: not understood, *s unchanged. */
static bool apply_word(struct setting *s, const char *word)
{
	const char *equals = strchr(word, '=');
	size_t key_length = equals ? (size_t)(equals - word) : 0;
	const struct {
		const char *key;
		double *value;
	} numbers[] = {
		{ "delay", &s->delay_ms },
		{ "jitter", &s->jitter_ms },
		{ "loss", &s->loss_percent },
		{ "corrupt", &s->corrupt_percent },
		{ "duplicate", &s->duplicate_percent },
		{ "reorder", &s->reorder_percent },
		{ "rate", &s->rate_kbit },
	};
	double *number = NULL;
	double value;
	char *end;

	if (strcmp(word, "hole=on") == 0 || strcmp(word, "hole=off") == 0) {
		s->hole = word[6] == 'n';
		return true;
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (key_length == strlen(numbers[i].key) && memcmp(word, numbers[i].key, key_length) == 0)
			number = numbers[i].value;
	if (!number)
		return false;
	value = strtod(equals + 1, &end);
	if (end == equals + 1 || *end != '\0' || !(value >= 0 && value <= 1e9))
		return false;
	*number = value;
	return true;
}

/* Answer each command, so that the sender knows from when on it holds. */
static void serve_control(int fd, struct setting *setting)
{
	char command[256];
	char answer[256];
	struct sockaddr_un peer;
	socklen_t peer_length = sizeof(peer);
	struct setting wanted = *setting;
	const char *bad = NULL;
	char *rest = NULL;
	ssize_t n = recvfrom(fd, command, sizeof(command) - 1, 0, (struct sockaddr *)&peer, &peer_length);

	if (n < 0)
		return;
	command[n] = '\0';
	for (char *word = strtok_r(command, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
		if (!apply_word(&wanted, word) && !bad)
			bad = word;
	if (bad) {
		snprintf(answer, sizeof(answer), "error: not understood: %.64s", bad);
	} else {
		*setting = wanted;
		const struct lane *a = &lanes[0];
		const struct lane *b = &lanes[1];

		snprintf(answer, sizeof(answer),
			 "ok passed=%" PRIu64 ",%" PRIu64 " dropped=%" PRIu64 ",%" PRIu64 " corrupted=%" PRIu64 ",%" PRIu64
			 " duplicated=%" PRIu64 ",%" PRIu64 " reordered=%" PRIu64 ",%" PRIu64,
			 a->passed, b->passed, a->dropped, b->dropped, a->corrupted, b->corrupted, a->duplicated, b->duplicated,
			 a->reordered, b->reordered);
	}
	if (peer_length > sizeof(sa_family_t))
		sendto(fd, answer, strlen(answer), 0, (struct sockaddr *)&peer, peer_length);
}

/* When a frame of this length leaves the wire; -1: the rate limit's buffer is full. */
static int64_t due_at(struct lane *lane, const struct setting *s, size_t length, int64_t now)
{
	double spread = s->jitter_ms * (2 * drand48() - 1);
	double wait_ms = s->delay_ms + spread;
	int64_t at = now + (int64_t)((wait_ms > 0 ? wait_ms : 0) * NS_PER_MS);

	if (s->rate_kbit > 0) {
		double bits = (double)(length - sizeof(struct virtio_net_hdr)) * 8;
		int64_t free_at = lane->rate_busy_until > now ? lane->rate_busy_until : now;

		if (free_at - now > RATE_BACKLOG_NS)
			return -1;
		lane->rate_busy_until = free_at + (int64_t)(bits / s->rate_kbit * NS_PER_MS);
		at += lane->rate_busy_until - now;
	}
	if (lane->head != lane->tail) {
		int64_t last = lane->queue[(lane->tail - 1) % QUEUE_FRAMES].due_at;

		if (at < last)
			at = last;
	}
	return at;
}

static bool by_chance(double percent)
{
	return drand48() * 100 < percent;
}

static void put_in(struct lane *lane, const struct setting *s, size_t length)
{
	struct frame *frame = &lane->queue[lane->tail % QUEUE_FRAMES];
	struct frame *before = &lane->queue[(lane->tail - 1) % QUEUE_FRAMES];
	unsigned char *copy;
	int64_t at;

	if (lane->tail - lane->head == QUEUE_FRAMES || (at = due_at(lane, s, length, now_ns())) < 0 ||
	    !(copy = malloc(length))) {
		lane->dropped++;
		return;
	}
	memcpy(copy, buffer, length);
	*frame = (struct frame){ .due_at = at, .length = length, .bytes = copy };
	if (lane->head != lane->tail && by_chance(s->reorder_percent)) {
		struct frame earlier = *before;

		before->length = frame->length;
		before->bytes = frame->bytes;
		frame->length = earlier.length;
		frame->bytes = earlier.bytes;
		lane->reordered++;
	}
	lane->tail++;
}

static void take_in(struct lane *lane, const struct setting *s)
{
	const size_t least = sizeof(struct virtio_net_hdr) + LEAST_CORRUPTED;

	for (int i = 0; i < FRAMES_PER_TURN; i++) {
		ssize_t n = recv(lane->from, buffer, sizeof(buffer), 0);

		if (n < (ssize_t)sizeof(struct virtio_net_hdr))
			return;
		if (s->hole || by_chance(s->loss_percent)) {
			lane->dropped++;
			continue;
		}
		if ((size_t)n > least && by_chance(s->corrupt_percent)) {
			buffer[least + (size_t)(drand48() * (double)((size_t)n - least))] ^= (unsigned char)(1u << (lrand48() & 7));
			lane->corrupted++;
		}
		put_in(lane, s, (size_t)n);
		if (by_chance(s->duplicate_percent)) {
			lane->duplicated++;
			put_in(lane, s, (size_t)n);
		}
	}
}

/* Send what is due; returns when the next frame will be. */
static int64_t let_out(struct lane *lane, const struct setting *s, int64_t now, int64_t next)
{
	while (lane->head != lane->tail) {
		struct frame *frame = &lane->queue[lane->head % QUEUE_FRAMES];

		if (frame->due_at > now)
			return frame->due_at < next ? frame->due_at : next;
		/* A hole swallows what is already on the wire too: nothing may arrive after it began. */
		if (!s->hole && send(lane->to, frame->bytes, frame->length, 0) >= 0)
			lane->passed++;
		else
			lane->dropped++;
		free(frame->bytes);
		lane->head++;
	}
	return next;
}

int main(int argc, char **argv)
{
	struct setting setting = { 0 };
	int control;

	if (argc < 4) {
		fprintf(stderr, "usage: netdelay INTERFACE INTERFACE CONTROL_SOCKET [WORD ...]\n"
				"words, here or as a datagram to the socket: delay=MS jitter=MS\n"
				"loss=PERCENT corrupt=PERCENT duplicate=PERCENT reorder=PERCENT\n"
				"rate=KBIT hole=on|off; each datagram is answered\n");
		return 2;
	}
	for (int i = 4; i < argc; i++)
		if (!apply_word(&setting, argv[i])) {
			fprintf(stderr, "netdelay: not understood: %s\n", argv[i]);
			return 2;
		}
	srand48((long)now_ns());
	lanes[0].from = lanes[1].to = open_interface(argv[1]);
	lanes[1].from = lanes[0].to = open_interface(argv[2]);
	control = open_control(argv[3]);

	for (;;) {
		int64_t now = now_ns();
		int64_t next = now + NS_PER_S;
		struct timespec wait;
		struct pollfd fds[3] = {
			{ .fd = lanes[0].from, .events = POLLIN },
			{ .fd = lanes[1].from, .events = POLLIN },
			{ .fd = control, .events = POLLIN },
		};

		for (int i = 0; i < 2; i++)
			next = let_out(&lanes[i], &setting, now, next);
		wait.tv_sec = (next - now) / NS_PER_S;
		wait.tv_nsec = (next - now) % NS_PER_S;
		if (ppoll(fds, 3, &wait, NULL) < 0 && errno != EINTR)
			die("poll");
		/* The control socket first: a hole that was asked for holds for the frames waiting now. */
		if (fds[2].revents)
			serve_control(control, &setting);
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				take_in(&lanes[i], &setting);
	}
}
