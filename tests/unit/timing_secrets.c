/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One wrong message to a real engine, for a tool that counts instructions inside measured(): which byte of a secret is the
 * wrong one must not change their number. Run by tools/proof timing.
 *
 *     timing_secrets challenge|reset|tag BYTE       that byte of it is wrong
 */
#include <stdio.h>
#include <stdlib.h>

#include "story.h"

static struct peek_message message;
static struct world_flight kept;
static uint8_t wanted;

static void keep(struct world *world, struct world_flight *f)
{
    (void)world;
    if (!f->to_server && peek_type(f) == wanted) {
        kept = *f;
        f->used = false;
    }
}

int measured(struct jump_engine *engine, const struct jump_input *in, jump_time now);
__attribute__((noinline)) int measured(struct jump_engine *engine, const struct jump_input *in, jump_time now)
{
    int result = jump_engine_feed(engine, in, now);
    __asm__ volatile("" ::: "memory"); /* not a tail call: it is left where it was entered */
    return result;
}

static int feed(struct jump_engine *engine, const struct jump_path *from, const uint8_t *bytes, size_t len)
{
    struct jump_input in = { .kind = JUMP_IN_DATAGRAM, .path = *from, .bytes = bytes, .bytes_len = len };
    return measured(engine, &in, w.now);
}

static void run_until_kept(uint8_t type)
{
    wanted = type;
    w.on_flight = keep;
    world_rebind(&w, 0, 0);
    for (unsigned i = 0; i < 20000 && kept.len == 0; i++)
        world_run(&w, JUMP_MS(1));
    if (kept.len == 0)
        exit(3);
}

static int challenge(size_t byte)
{
    struct jump_header header;
    struct jump_body body;
    run_until_kept(JUMP_MSG_REATTACH_CHALLENGE);
    if (peek_open(&header, &body, &w, false, 0, &kept) != 0)
        exit(4);
    struct jump_body proof = { .attempt = body.attempt, .generation = 1, .transport = 1, .why = JUMP_REASON_TRANSPORT_DEAD };
    memcpy(proof.challenge, body.challenge, sizeof proof.challenge);
    proof.challenge[byte % sizeof proof.challenge] ^= 0x40;
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &proof);
    peek_settle(&w);
    return feed(w.server, &w.clients[0].uplinks[0], message.bytes, message.len);
}

static int reset(size_t byte)
{
    struct jump_path from = w.server_path;
    world_restart_server(&w);
    run_until_kept(JUMP_MSG_RESET);
    from.transport = 1;
    kept.bytes[JUMP_HEADER_BYTES + 8 + byte % JUMP_RESET_MAC_BYTES] ^= 0x40;
    peek_settle(&w);
    return feed(w.clients[0].engine, &from, kept.bytes, kept.len);
}

static int tag(size_t byte)
{
    struct jump_body probe = { .seq = 1000, .generation = 1, .next_within_ms = 1000 };
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
    message.bytes[message.len - JUMP_TAG_BYTES + byte % JUMP_TAG_BYTES] ^= 0x40;
    peek_settle(&w);
    return feed(w.server, &w.clients[0].uplinks[0], message.bytes, message.len);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(size_t byte);
    } cases[] = { { "challenge", challenge }, { "reset", reset }, { "tag", tag } };
    world_init(&w, 1, 7);
    world_start(&w);
    if (!world_attach(&w, 0))
        return 2;
    world_busy(&w, 0, JUMP_MS(1000));
    for (size_t i = 0; argc == 3 && i < 3; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            printf("%s: %d\n", argv[1], cases[i].run((size_t)atoi(argv[2])));
            return 0;
        }
    return 1;
}
