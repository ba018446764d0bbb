/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Drawing a whole script from one seed: how many take part, for how long, and what befalls each. Everybody has storms of some
 * minutes and quiet times in between, long enough that being well again is asked for. Read next: faults.c, which carries it out.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct dice {
    uint64_t seed, count;
};

static uint64_t draw(struct dice *d, uint64_t below)
{
    return sim_mix(d->seed, UINT64_C(7) << 40, d->count++) % below;
}

/* From `low` to about 2^doublings times that: as many short ones as long ones. */
static uint32_t span(struct dice *d, uint32_t low, unsigned doublings)
{
    uint64_t whole = (uint64_t)low << draw(d, doublings + 1);
    return (uint32_t)(whole + draw(d, whole));
}

static void put(struct sim_script *script, uint32_t at_ms, enum sim_op_kind kind, const uint32_t arg[SIM_ARGS])
{
    if (at_ms >= script->length_ms)
        return;
    if ((script->op_count & (script->op_count + 1)) == 0)
        script->ops = sim_more(script->ops, 2 * ((size_t)script->op_count + 1) * sizeof *script->ops);
    struct sim_op *op = &script->ops[script->op_count++];
    memset(op, 0, sizeof *op);
    op->at_ms = at_ms;
    op->kind = (uint8_t)kind;
    memcpy(op->arg, arg, sizeof op->arg);
}

#define PUT(kind, ...) put(script, at, kind, (const uint32_t[SIM_ARGS]){ __VA_ARGS__ })

/* What may befall a client, each as often as it stands here. */
static const uint8_t troubles[] = {
    SIM_OP_HOLE, SIM_OP_HOLE, SIM_OP_HOLE, SIM_OP_GONE, SIM_OP_GONE, SIM_OP_FLAP, SIM_OP_LOSS, SIM_OP_LOSS, SIM_OP_BURST,
    SIM_OP_DELAY, SIM_OP_JITTER, SIM_OP_TWICE, SIM_OP_CORRUPT, SIM_OP_REBIND, SIM_OP_REBIND, SIM_OP_REBIND, SIM_OP_EXPIRE,
    SIM_OP_SWAP, SIM_OP_SWAP, SIM_OP_RENUMBER, SIM_OP_RESTLESS, SIM_OP_COPY, SIM_OP_COPY, SIM_OP_COPY, SIM_OP_REPLAY, SIM_OP_REPLAY,
    SIM_OP_FORGE, SIM_OP_FORGE, SIM_OP_FLOOD, SIM_OP_STILL, SIM_OP_SUSPEND, SIM_OP_BACKWARDS, SIM_OP_KILL, SIM_OP_EXIT,
    SIM_OP_STEAL, SIM_OP_OPERATOR, SIM_OP_REKEY, SIM_OP_REKEY, SIM_OP_ADVICE, SIM_OP_DATA, SIM_OP_DATA,
};

/* Another mapping every few seconds while somebody works: more switches than the rate allows. */
static void wander(struct sim_script *script, struct dice *d, uint32_t at, uint32_t n)
{
    uint32_t times = 8 + (uint32_t)draw(d, 24), pace = span(d, 1000, 2);
    PUT(SIM_OP_DATA, n, 200, times * pace);
    for (; times > 0; times--, at += pace)
        for (uint32_t uplink = 0; uplink < SIM_UPLINKS; uplink++)
            PUT(SIM_OP_REBIND, n, uplink);
}

/* The store is silent, for longer than a path may be dead, while clients move: what they commit is out when their old paths die. */
static void silent_store(struct sim_script *script, struct dice *d, uint32_t at, uint32_t g)
{
    uint32_t lasts = span(d, 5000, 5);
    PUT(SIM_OP_STORE, g, SIM_STORE_STUCK, 5, lasts);
    for (uint32_t movers = 4 + (uint32_t)draw(d, 8); movers > 0; movers--) {
        uint32_t n = (uint32_t)draw(d, script->clients), later = at + (uint32_t)draw(d, lasts);
        for (uint32_t uplink = 0; uplink < SIM_UPLINKS; uplink++)
            put(script, later, SIM_OP_REBIND, (const uint32_t[SIM_ARGS]){ n, uplink });
    }
}

static void befall(struct sim_script *script, struct dice *d, uint32_t at, uint32_t n)
{
    enum sim_op_kind kind = (enum sim_op_kind)troubles[draw(d, sizeof troubles)];
    uint32_t uplink = (uint32_t)draw(d, SIM_UPLINKS), ppm = (uint32_t)draw(d, 500000), lasts = span(d, 200, 9);
    uint32_t few = 1 + (uint32_t)draw(d, 12), four = (uint32_t)draw(d, 4), ms = span(d, 5, 8);
    switch (kind) {
    case SIM_OP_HOLE:
        PUT(kind, n, uplink, four, draw(d, 8) == 0 ? span(d, 60000, 4) : lasts);
        if (draw(d, 2)) /* all at once: there is no way out */
            for (uint32_t i = 0; i < SIM_UPLINKS; i++)
                PUT(kind, n, i, 0, lasts);
        break;
    case SIM_OP_LOSS:
    case SIM_OP_DELAY:
        if (four == 0) { /* bad for minutes while somebody works: worth a switch by choice */
            lasts = span(d, 60000, 3);
            put(script, at, SIM_OP_DATA, (const uint32_t[SIM_ARGS]){ n, 500, lasts });
            uplink = 0;
            ppm = 150000 + ppm / 2;
            ms = 300 + 2 * ms;
        }
        PUT(kind, n, uplink, kind == SIM_OP_LOSS ? ppm : ms, lasts);
        break;
    case SIM_OP_TWICE:
    case SIM_OP_CORRUPT:
        PUT(kind, n, uplink, ppm, lasts);
        break;
    case SIM_OP_BURST:
        PUT(kind, n, uplink, ppm, span(d, 50, 6), lasts);
        break;
    case SIM_OP_FLAP:
        PUT(kind, n, uplink, span(d, 100, 7), lasts);
        break;
    case SIM_OP_JITTER:
        PUT(kind, n, uplink, ms, lasts);
        break;
    case SIM_OP_REBIND:
        PUT(kind, n, uplink);
        if (four == 0)
            wander(script, d, at, n);
        break;
    case SIM_OP_RENUMBER:
        PUT(kind, n, uplink, four & 1);
        break;
    case SIM_OP_GONE:
    case SIM_OP_RESTLESS:
        PUT(kind, n, uplink, lasts);
        break;
    case SIM_OP_COPY:
        PUT(kind, n, draw(d, 2) ? 1000000 : ppm, four % 3, lasts);
        break;
    case SIM_OP_REPLAY:
    case SIM_OP_FORGE:
        PUT(kind, n, few * 3, four);
        break;
    case SIM_OP_FLOOD:
        PUT(kind, n, 100 + (uint32_t)draw(d, 400));
        break;
    case SIM_OP_STILL:
    case SIM_OP_SUSPEND:
    case SIM_OP_KILL:
    case SIM_OP_EXIT:
        PUT(kind, n, draw(d, 6) == 0 ? span(d, 60000, 6) : lasts);
        break;
    case SIM_OP_BACKWARDS:
        PUT(kind, n, four & 1, 1 + ms);
        break;
    case SIM_OP_REKEY:
        PUT(kind, n, (uint32_t)draw(d, 6));
        break;
    case SIM_OP_DATA:
        PUT(kind, n, span(d, 100, 5), lasts);
        break;
    default:
        PUT(kind, n, uplink);
    }
}

static void befall_gateway(struct sim_script *script, struct dice *d, uint32_t at, uint32_t g)
{
    switch (draw(d, 8)) {
    case 0:
        PUT(SIM_OP_STALL, g, span(d, 100, 8));
        break;
    case 1:
        PUT(SIM_OP_RESTART, g, draw(d, 6) == 0, span(d, 200, 8));
        break;
    case 2:
        PUT(SIM_OP_POLICY, g, (uint32_t)draw(d, 5));
        break;
    case 3:
        PUT(SIM_OP_CROWD, g, span(d, 4, 6));
        break;
    case 4:
        silent_store(script, d, at, g);
        break;
    default:
        PUT(SIM_OP_STORE, g, 1 + (uint32_t)draw(d, 4), span(d, 5, 9), span(d, 500, 7));
    }
}

static int by_time(const void *a, const void *b)
{
    const struct sim_op *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    int kinds = (int)x->kind - (int)y->kind;
    return kinds != 0 ? kinds : memcmp(x->arg, y->arg, sizeof x->arg);
}

void sim_draw(struct sim_script *script, uint64_t seed, double hours)
{
    static const uint32_t crowds[] = { 6, 20, 20, 60, 60, 120, 300 };
    struct dice d = { seed, 0 };
    memset(script, 0, sizeof *script);
    script->seed = seed;
    script->clients = crowds[draw(&d, sizeof crowds / sizeof crowds[0])];
    script->gateways = 1 + (uint32_t)draw(&d, SIM_GATEWAYS);
    if (script->clients > (uint32_t)(hours * 6) + 2)
        script->clients = (uint32_t)(hours * 6) + 2; /* ten minutes each at least */
    script->length_ms = (uint32_t)(hours * 3600000 / script->clients);
    if (script->length_ms > 6 * 3600000u)
        script->length_ms = 6 * 3600000u;
    for (uint32_t n = 0; n < script->clients; n++) {
        script->present[n] = 1;
        uint32_t at = (uint32_t)draw(&d, 120000);
        unsigned seldom = (unsigned)draw(&d, 4);
        while (at < script->length_ms) {
            uint64_t storm = draw(&d, 12);
            for (uint64_t i = 0; i < storm; i++) {
                befall(script, &d, at, n);
                at += span(&d, 20, 10);
            }
            at += draw(&d, 4) == 0 ? span(&d, 1000, 5) : span(&d, 180000, seldom);
        }
    }
    for (uint32_t g = 0; g < script->gateways; g++)
        for (uint32_t at = span(&d, 60000, 4); at < script->length_ms; at += span(&d, 200000, 3))
            befall_gateway(script, &d, at, g);
    qsort(script->ops, script->op_count, sizeof *script->ops, by_time);
}
