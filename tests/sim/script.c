/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A script as text, which can be read back, kept and cut by hand, and the shrinking of one that fails: clients and operations
 * are left out as long as it still fails for the same reason. What is left is mostly a handful of lines.
 * Read next: faults.c.
 *
 *     seed=17 clients=60 gateways=2 length=1500000 without=0-11,13-59
 *     at 61250 rebind client=12 uplink=0
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* --- text --------------------------------------------------------------------------------------------------- */

#define MOST_LINE 8192

static size_t add(char *line, size_t at, const char *format, ...)
{
    va_list words;
    va_start(words, format);
    int len = vsnprintf(line + at, MOST_LINE - at, format, words);
    va_end(words);
    return len < 0 || at + (size_t)len >= MOST_LINE ? MOST_LINE - 1 : at + (size_t)len;
}

static void tell_head(const struct sim_script *script, char line[MOST_LINE])
{
    const char *mark = " without=";
    size_t at = add(line, 0, "seed=%llu clients=%u gateways=%u length=%u", (unsigned long long)script->seed, script->clients,
                    script->gateways, script->length_ms);
    for (uint32_t n = 0; n < script->clients; n++) {
        uint32_t last = n;
        if (script->present[n])
            continue;
        while (last + 1 < script->clients && !script->present[last + 1])
            last++;
        at = add(line, at, last == n ? "%s%u" : "%s%u-%u", mark, n, last);
        mark = ",";
        n = last;
    }
}

static void tell_op(const struct sim_op *op, char line[MOST_LINE])
{
    char names[64], *rest = names;
    unsigned k = 0;
    size_t at = add(line, 0, "at %u %s", op->at_ms, sim_op_name(op->kind));
    snprintf(names, sizeof names, "%s", sim_op_args(op->kind));
    for (char *name = strtok_r(rest, " ", &rest); name; name = strtok_r(NULL, " ", &rest))
        at = add(line, at, " %s=%u", name, op->arg[k++]);
}

void sim_write(const struct sim_script *script, FILE *out)
{
    static char line[MOST_LINE];
    tell_head(script, line);
    fprintf(out, "%s\n", line);
    for (uint32_t i = 0; i < script->op_count; i++) {
        tell_op(&script->ops[i], line);
        fprintf(out, "%s\n", line);
    }
}

static bool read_head(struct sim_script *script, const char *line)
{
    unsigned long long seed;
    int used = 0;
    if (sscanf(line, "seed=%llu clients=%u gateways=%u length=%u%n", &seed, &script->clients, &script->gateways,
               &script->length_ms, &used) != 4)
        return false;
    script->seed = seed;
    if (script->clients < 1 || script->clients > SIM_CLIENTS || script->gateways < 1 || script->gateways > SIM_GATEWAYS)
        return false;
    memset(script->present, 1, script->clients);
    const char *at = strstr(line + used, "without=");
    for (at = at ? at + 8 : ""; *at >= '0' && *at <= '9';) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        for (; first <= last && first < script->clients; first++)
            script->present[first] = 0;
        at = *end == ',' ? end + 1 : "";
    }
    return true;
}

static bool read_op(const struct sim_script *script, struct sim_op *op, const char *line)
{
    char name[32], names[64], *rest = names;
    int used;
    memset(op, 0, sizeof *op);
    if (sscanf(line, "at %u %31s%n", &op->at_ms, name, &used) != 2)
        return false;
    while (op->kind < SIM_OP_COUNT && strcmp(sim_op_name(op->kind), name) != 0)
        op->kind++;
    if (op->kind == SIM_OP_COUNT)
        return false;
    snprintf(names, sizeof names, "%s", sim_op_args(op->kind));
    unsigned k = 0;
    for (char *arg = strtok_r(rest, " ", &rest); arg; arg = strtok_r(NULL, " ", &rest), k++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, " %s=", arg);
        const char *at = strstr(line + used, wanted);
        if (!at || sscanf(at + strlen(wanted), "%u", &op->arg[k]) != 1)
            return false;
    }
    return op->arg[0] < (strncmp(sim_op_args(op->kind), "gateway", 7) == 0 ? script->gateways : script->clients);
}

/* A line counts if it would be written like this: a damaged script must not run as another one. */
bool sim_read(struct sim_script *script, FILE *in, unsigned *at)
{
    static char line[MOST_LINE], again[MOST_LINE];
    bool head = false;
    memset(script, 0, sizeof *script);
    for (*at = 1; fgets(line, sizeof line, in); ++*at) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        line[strcspn(line, "\n")] = 0;
        if (!head) {
            if (!read_head(script, line))
                return false;
            tell_head(script, again);
            head = true;
        } else {
            script->ops = sim_more(script->ops, (script->op_count + 1) * sizeof *script->ops);
            struct sim_op *op = &script->ops[script->op_count];
            if (!read_op(script, op, line) || (script->op_count > 0 && op->at_ms < op[-1].at_ms))
                return false;
            script->op_count++;
            tell_op(op, again);
        }
        if (strcmp(line, again) != 0)
            return false;
    }
    return head;
}

void sim_copy(struct sim_script *to, const struct sim_script *from)
{
    *to = *from;
    to->ops = sim_more(NULL, (from->op_count + 1) * sizeof *to->ops);
    if (from->op_count > 0)
        memcpy(to->ops, from->ops, from->op_count * sizeof *to->ops);
}

void sim_drop(struct sim_script *script)
{
    free(script->ops);
    script->ops = NULL;
    script->op_count = 0;
}

/* --- shrinking ---------------------------------------------------------------------------------------------- */

struct hunt {
    struct sim_script *best;
    char what[8];
    unsigned runs;
};

/* Takes `tried` if it fails like the one before; it then ends a moment after its failure. */
static bool still_fails(struct hunt *hunt, struct sim_script *tried)
{
    struct sim sim;
    if (hunt->runs == 0)
        return false;
    hunt->runs--;
    memset(&sim, 0, sizeof sim);
    sim.script = tried;
    sim_run(&sim);
    if (!sim.failed || strcmp(sim.failed_what, hunt->what) != 0)
        return false;
    uint64_t failed_ms = (sim.failed_at - SIM_BEGIN) / JUMP_MS(1) + 1;
    if (failed_ms < tried->length_ms)
        tried->length_ms = (uint32_t)failed_ms;
    while (tried->op_count > 0 && tried->ops[tried->op_count - 1].at_ms > tried->length_ms)
        tried->op_count--;
    sim_drop(hunt->best);
    sim_copy(hunt->best, tried);
    return true;
}

static bool without_clients(struct hunt *hunt, const uint8_t present[SIM_CLIENTS])
{
    struct sim_script tried;
    sim_copy(&tried, hunt->best);
    memcpy(tried.present, present, SIM_CLIENTS);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < tried.op_count; i++) {
        bool of_client = strncmp(sim_op_args(tried.ops[i].kind), "client", 6) == 0;
        if (!of_client || tried.present[tried.ops[i].arg[0] % SIM_CLIENTS])
            tried.ops[kept++] = tried.ops[i];
    }
    tried.op_count = kept;
    bool fails = still_fails(hunt, &tried);
    sim_drop(&tried);
    return fails;
}

static void fewer_clients(struct hunt *hunt, uint16_t suspect)
{
    uint8_t present[SIM_CLIENTS];
    if (suspect < SIM_CLIENTS) {
        memset(present, 0, sizeof present);
        present[suspect] = 1;
        if (without_clients(hunt, present))
            return;
    }
    for (uint32_t size = hunt->best->clients / 2; size >= 1; size /= 2)
        for (uint32_t first = 0; first < hunt->best->clients; first += size) {
            bool some = false;
            memcpy(present, hunt->best->present, sizeof present);
            for (uint32_t n = first; n < first + size && n < hunt->best->clients; n++) {
                some = some || present[n];
                present[n] = 0;
            }
            if (some)
                without_clients(hunt, present);
        }
}

static void fewer_ops(struct hunt *hunt)
{
    bool shorter;
    do {
        shorter = false;
        for (uint32_t size = hunt->best->op_count; size >= 1; size /= 2)
            for (uint32_t first = 0; first < hunt->best->op_count;) {
                struct sim_script tried;
                uint32_t left = hunt->best->op_count - first, cut = left < size ? left : size;
                sim_copy(&tried, hunt->best);
                memmove(tried.ops + first, tried.ops + first + cut, (left - cut) * sizeof *tried.ops);
                tried.op_count -= cut;
                if (still_fails(hunt, &tried))
                    shorter = true; /* the next ones have moved here */
                else
                    first += cut;
                sim_drop(&tried);
            }
    } while (shorter && hunt->runs > 0);
}

void sim_shrink(struct sim_script *script, unsigned runs)
{
    struct hunt hunt = { .best = script, .runs = runs };
    struct sim sim;
    struct sim_script whole;
    memset(&sim, 0, sizeof sim);
    sim.script = script;
    sim_run(&sim);
    if (!sim.failed)
        return;
    memcpy(hunt.what, sim.failed_what, sizeof hunt.what);
    sim_copy(&whole, script);
    still_fails(&hunt, &whole); /* cut off behind its failure */
    sim_drop(&whole);
    fewer_clients(&hunt, sim.failed_client);
    fewer_ops(&hunt);
}
