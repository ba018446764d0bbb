/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command: seeds, or one script. What tools/proof sim runs, one process for each core (docs/proof.md, "Simulation").
 *
 *   simulation [--first SEED] [--seeds N] [--hours H] [--twice] [--shrink FOLDER] [--hash]
 *   simulation --replay FILE [--trace]        one script, as --shrink left it
 *   simulation --script SEED [--hours H]      prints the whole script of a seed
 *
 * One line for each seed: its number, "ok" or what is broken, session-hours, steps; then the sum. Exit status 1: broken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct options {
    uint64_t first, seeds;
    double hours;
    const char *replay, *shrink;
    bool twice, hash, trace, print;
};

static void say(const struct sim *sim, bool hash)
{
    const struct sim_totals *t = &sim->totals;
    printf("seed %llu %s hours %.2f sessions %llu ended %llu switches %llu steps %llu datagrams %llu refused %llu checks %llu",
           (unsigned long long)sim->script->seed, sim->failed ? "FAILED" : "ok", t->hours, (unsigned long long)t->sessions,
           (unsigned long long)t->ended, (unsigned long long)t->switches, (unsigned long long)t->steps,
           (unsigned long long)t->datagrams, (unsigned long long)t->refused, (unsigned long long)t->checks);
    if (hash)
        printf(" hash %016llx", (unsigned long long)sim->hash);
    putchar('\n');
    if (sim->failed)
        printf("    %s: client %u at %.6f s: %s\n", sim->failed_what, sim->failed_client,
               (double)(sim->failed_at - SIM_BEGIN) / 1e9, sim->failure);
    fflush(stdout);
}

static bool run(struct sim *sim, const struct sim_script *script, bool trace)
{
    memset(sim, 0, sizeof *sim);
    sim->script = script;
    sim->trace = trace ? stderr : NULL;
    sim_run(sim);
    return !sim->failed;
}

static void keep(struct sim_script *script, const char *folder)
{
    char name[512];
    struct sim sim;
    sim_shrink(script, 600);
    snprintf(name, sizeof name, "%s/seed-%llu.sim", folder, (unsigned long long)script->seed);
    FILE *out = fopen(name, "w");
    if (!out) {
        fprintf(stderr, "simulation: %s cannot be written\n", name);
        return;
    }
    if (!run(&sim, script, false))
        fprintf(out, "# %s at %.6f s: %s\n", sim.failed_what, (double)(sim.failed_at - SIM_BEGIN) / 1e9, sim.failure);
    sim_write(script, out);
    fclose(out);
    printf("    %u operations are left of it: %s\n", script->op_count, name);
}

static bool one_seed(const struct options *o, uint64_t seed)
{
    struct sim_script script;
    struct sim sim, again;
    sim_draw(&script, seed, o->hours);
    bool good = run(&sim, &script, o->trace);
    if (o->twice && good && (!run(&again, &script, false) || again.hash != sim.hash))
        sim_fail(&sim, SIM_STRANGERS, "I15", "run twice it said something else");
    say(&sim, o->hash);
    if (sim.failed && o->shrink)
        keep(&script, o->shrink);
    sim_drop(&script);
    return !sim.failed;
}

static int replay(const struct options *o)
{
    struct sim_script script;
    struct sim sim;
    unsigned line;
    FILE *in = fopen(o->replay, "r");
    if (!in) {
        fprintf(stderr, "simulation: %s: %s\n", o->replay, strerror(errno));
        return 2;
    }
    bool read = sim_read(&script, in, &line);
    fclose(in);
    if (!read) {
        fprintf(stderr, "simulation: %s:%u: this is no line of a script\n", o->replay, line);
        sim_drop(&script);
        return 2;
    }
    bool good = run(&sim, &script, o->trace);
    say(&sim, o->hash);
    sim_drop(&script);
    return !good;
}

static int usage(void)
{
    fprintf(stderr, "usage: simulation [--first SEED] [--seeds N] [--hours H] [--twice] [--shrink FOLDER] [--hash]\n"
                    "       simulation --replay FILE [--hash] [--trace] | --script SEED [--hours H]\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct options o = { .first = 1, .seeds = 1, .hours = 25 };
    uint64_t failed = 0;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool takes = true;
        if (strcmp(word, "--first") == 0 && value)
            o.first = strtoull(value, NULL, 10);
        else if (strcmp(word, "--seeds") == 0 && value)
            o.seeds = strtoull(value, NULL, 10);
        else if (strcmp(word, "--hours") == 0 && value)
            o.hours = strtod(value, NULL);
        else if (strcmp(word, "--replay") == 0 && value)
            o.replay = value;
        else if (strcmp(word, "--shrink") == 0 && value)
            o.shrink = value;
        else if (strcmp(word, "--script") == 0 && value) {
            o.print = true;
            o.first = strtoull(value, NULL, 10);
        } else {
            takes = false;
            if (strcmp(word, "--twice") == 0)
                o.twice = true;
            else if (strcmp(word, "--hash") == 0)
                o.hash = true;
            else if (strcmp(word, "--trace") == 0)
                o.trace = true;
            else
                return usage();
        }
        i += takes;
    }
    if (o.hours < 0.1 || o.hours > 100000 || o.seeds == 0)
        return usage();
    if (o.replay)
        return replay(&o);
    if (o.print) {
        struct sim_script script;
        sim_draw(&script, o.first, o.hours);
        sim_write(&script, stdout);
        sim_drop(&script);
        return 0;
    }
    for (uint64_t seed = o.first; seed < o.first + o.seeds; seed++)
        failed += !one_seed(&o, seed);
    return failed != 0;
}
