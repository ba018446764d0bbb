/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The loop that every host adapter needs (adapters/README.md), written once: an input goes into the engine, its actions
 * are carried out until none is left, the store's answers go in. Nothing here waits and nothing decides. A late tick is
 * normal. Whatever is missing at the open ends in one line that names it: never half of an instance.
 * Read next: instance.h.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/instance.h"
#include "store/memory.h"
#include "system/clock.h"
#include "system/policy_file.h"

#define PATH_BYTES 512
#define SOCKET_PATH_BYTES 256

/* Open */

static bool open_policy(struct jump_instance *instance, struct jump_problem *problem, const char *policy)
{
    static struct jump_policy_draft draft; /* large, and wanted for a moment */
    char path[PATH_BYTES], line[JUMP_POLICY_FILE_LINE_BYTES];

    if (!jump_policy_file_find(path, sizeof path, problem, policy, NULL))
        return false;
    switch (jump_policy_file_read(&draft, problem, path)) {
    case 0:
        instance->policy = draft.policy;
        return true;
    case JUMP_ERR_POLICY:
        jump_policy_file_describe(line, path, &draft.errors[0]);
        jump_problem_set(problem, "policy: %s (%u in all; jumpctl policy check %s)", line, draft.error_count, path);
        return false;
    default:
        return false;
    }
}

static bool open_files(struct jump_instance *instance, uint64_t *boot, struct jump_problem *problem,
                       const struct jump_instance_settings *settings)
{
    if (instance->state == NULL)
        instance->state = jump_state_open(problem, settings->state_dir, settings->name);
    if (instance->state == NULL)
        return false;
    if (settings->role == JUMP_SERVER && !jump_state_boot_next(instance->state, boot, problem))
        return false;
    if (instance->audit == NULL)
        instance->audit = jump_audit_file_open(problem, settings->audit, settings->name, instance->state);
    return instance->audit != NULL;
}

static void lock_memory(struct jump_instance *instance)
{
    bool state = instance->state == NULL || jump_state_relock(instance->state); /* its keys are the reset keys' */

    instance->locked_in = getpid();
    if (sodium_mlock(instance->engine_memory, instance->engine_memory_len) != 0 || !state)
        instance->host.warn(instance->host.context, "memory with keys cannot be locked: it may reach a swap device");
}

static bool open_engine(struct jump_instance *instance, struct jump_problem *problem,
                        const struct jump_instance_settings *settings, uint64_t boot)
{
    struct jump_config config;
    int result = JUMP_ERR_ARGUMENT;

    memset(&config, 0, sizeof config);
    config.role = settings->role;
    config.host_kind = settings->host_kind;
    config.policy = instance->policy;
    if (settings->several_servers)
        config.policy.max_candidates = JUMP_MAX_CANDIDATES;
    config.max_sessions = settings->max_sessions;
    config.unique_path = settings->unique_path;
    config.boot = boot;
    randombytes_buf(config.seed, sizeof config.seed);
    memcpy(config.instance_key, jump_state_instance_key(instance->state), sizeof config.instance_key);

    instance->engine_memory_len = jump_engine_bytes(&config);
    if (instance->engine_memory_len > 0 && posix_memalign(&instance->engine_memory, 4096, instance->engine_memory_len) != 0)
        instance->engine_memory = NULL;
    if (instance->engine_memory != NULL) {
        memset(instance->engine_memory, 0, instance->engine_memory_len);
        lock_memory(instance);
        result = jump_engine_init(&instance->engine, instance->engine_memory, instance->engine_memory_len, &config,
                                  jump_clock_now());
    }
    sodium_memzero(&config, sizeof config);
    if (instance->engine_memory_len > 0 && instance->engine_memory == NULL) {
        jump_problem_set(problem, "not enough memory for %u sessions", (unsigned)settings->max_sessions);
        return false;
    }
    if (instance->engine == NULL) {
        jump_problem_set(problem, "the engine does not start: %s", jump_error_text(result));
        return false;
    }
    return true;
}

bool jump_instance_open(struct jump_instance *instance, struct jump_problem *problem,
                        const struct jump_instance_settings *settings, const struct jump_instance_host *host)
{
    uint64_t boot = 0;

    instance->host = *host;
    instance->role = settings->role;
    instance->max_sessions = settings->max_sessions;
    (void)snprintf(instance->name, sizeof instance->name, "%s", settings->name);
    if (sodium_init() < 0) {
        jump_problem_set(problem, "libsodium does not start");
        return false;
    }
    if (!open_policy(instance, problem, settings->policy) || !open_files(instance, &boot, problem, settings)
        || !open_engine(instance, problem, settings, boot))
        return false;
    instance->store = jump_store_memory_open(settings->max_sessions);
    if (instance->store == NULL)
        jump_problem_set(problem, "not enough memory for %u sessions", (unsigned)settings->max_sessions);
    return instance->store != NULL;
}

/* The control socket's questions */

static int terminate(void *context, const struct jump_id *session_id, enum jump_reason reason)
{
    struct jump_input in = {.kind = JUMP_IN_TERMINATE};

    in.session_id = *session_id;
    in.reason = reason;
    return jump_instance_feed(context, &in);
}

static bool peer_name(void *context, jump_host host, char *out, size_t out_cap)
{
    const struct jump_instance *instance = context;

    return instance->host.peer_name != NULL && instance->host.peer_name(instance->host.context, host, out, out_cap);
}

/* Named in docs/man/jumpctl.1. */
static void counters(void *context, jump_control_count *count, void *answer)
{
    const struct jump_instance *instance = context;
    struct jump_audit_file_stats audit;

    if (instance->host.counters != NULL)
        instance->host.counters(instance->host.context, count, answer);
    if (instance->audit == NULL)
        return;
    jump_audit_file_stats(instance->audit, &audit);
    count(answer, "audit", "written", audit.written);
    count(answer, "audit", "waiting", audit.waiting);
    count(answer, "audit", "dropped", audit.dropped);
    count(answer, "audit", "failures", audit.failures);
}

bool jump_instance_listen(struct jump_instance *instance, struct jump_problem *problem, const char *run_dir)
{
    struct jump_control_host host;
    char path[SOCKET_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s.sock", run_dir, instance->name);

    if (n < 0 || (size_t)n >= sizeof path) {
        jump_problem_set(problem, "run_dir is too long: %s", run_dir);
        return false;
    }
    memset(&host, 0, sizeof host);
    host.engine = instance->engine;
    host.name = instance->name;
    host.version = PACKAGE_VERSION;
    host.role = instance->role;
    host.terminate = terminate;
    host.peer_name = peer_name;
    host.counters = counters;
    host.context = instance;
    if (instance->control != NULL)
        jump_control_resume(instance->control, &host);
    else
        instance->control = jump_control_open(problem, path, &host);
    return instance->control != NULL;
}

/* Actions */

static void carry_out(struct jump_instance *instance, const struct jump_action *action)
{
    const struct jump_instance_host *host = &instance->host;

    switch (action->kind) {
    case JUMP_DO_SEND:
        host->send(host->context, action);
        break;
    case JUMP_DO_BIND:
        host->bind(host->context, action);
        break;
    case JUMP_DO_UNBIND:
        host->unbind(host->context, action);
        break;
    case JUMP_DO_END:
        host->end(host->context, action);
        break;
    case JUMP_DO_STORE:
        jump_store_put_if(instance->store, &action->session_id, action->ticket, action->revision, action->bytes,
                          action->bytes_len);
        if (action->last) /* this store has written by now, and nobody waits for the answer of a last write */
            jump_store_drop(instance->store, &action->session_id);
        break;
    case JUMP_DO_EMIT:
        if (instance->audit != NULL)
            jump_audit_file_write(instance->audit, &action->event, instance->now);
        break;
    }
}

static bool drain(struct jump_instance *instance)
{
    const struct jump_action *action;
    bool any = false;

    while ((action = jump_engine_next(instance->engine)) != NULL) {
        carry_out(instance, action);
        any = true;
    }
    return any;
}

/* Timers that are due may fill the queue before the input is taken: then again, or the input would be lost. */
static int feed_and_drain(struct jump_instance *instance, const struct jump_input *in)
{
    int result;
    bool any;

    do {
        result = jump_engine_feed(instance->engine, in, instance->now);
        any = drain(instance);
    } while (result == JUMP_ERR_BUSY && any);
    return result;
}

static void store_answers(struct jump_instance *instance)
{
    struct jump_store_answer answer;

    while (jump_store_next(instance->store, &answer)) {
        struct jump_input in = {.kind = JUMP_IN_STORE};

        in.session_id = answer.session_id;
        in.ticket = answer.ticket;
        in.revision = answer.revision;
        in.store_result = answer.result;
        (void)feed_and_drain(instance, &in);
    }
}

int jump_instance_feed(struct jump_instance *instance, const struct jump_input *in)
{
    int result;

    instance->now = jump_clock_now();
    result = feed_and_drain(instance, in);
    if (instance->store != NULL)
        store_answers(instance);
    return result;
}

/* What is due */

void jump_instance_run(struct jump_instance *instance)
{
    if (jump_engine_deadline(instance->engine) <= instance->now) {
        struct jump_input in = {.kind = JUMP_IN_TICK};

        (void)jump_instance_feed(instance, &in);
    }
    if (instance->audit != NULL && jump_audit_file_deadline(instance->audit) <= instance->now)
        jump_audit_file_flush(instance->audit, instance->now);
    if (instance->control != NULL && jump_control_deadline(instance->control) <= instance->now)
        jump_control_run(instance->control, NULL, 0, instance->now);
}

static jump_time earlier(jump_time a, jump_time b)
{
    return a < b ? a : b;
}

jump_time jump_instance_deadline(const struct jump_instance *instance)
{
    jump_time at = jump_engine_deadline(instance->engine);

    if (instance->audit != NULL)
        at = earlier(at, jump_audit_file_deadline(instance->audit));
    if (instance->control != NULL)
        at = earlier(at, jump_control_deadline(instance->control));
    return at;
}

size_t jump_instance_fds(const struct jump_instance *instance, struct pollfd *out, size_t out_cap)
{
    return instance->control == NULL ? 0 : jump_control_fds(instance->control, out, out_cap);
}

void jump_instance_serve(struct jump_instance *instance, const struct pollfd *fds, size_t fds_len)
{
    if (instance->control != NULL)
        jump_control_run(instance->control, fds, fds_len, instance->now);
}

void jump_instance_relock(struct jump_instance *instance)
{
    if (instance->engine_memory != NULL && instance->locked_in != getpid())
        lock_memory(instance);
}

/* Close */

void jump_instance_close(struct jump_instance *instance)
{
    jump_control_close(instance->control);
    if (instance->engine != NULL)
        jump_engine_wipe(instance->engine);
    if (instance->engine_memory != NULL)
        (void)sodium_munlock(instance->engine_memory, instance->engine_memory_len); /* wipes it too */
    free(instance->engine_memory);
    jump_store_close(instance->store);
    if (instance->audit != NULL)
        jump_audit_file_close(instance->audit);
    jump_state_close(instance->state);
    sodium_memzero(instance, sizeof *instance);
}
