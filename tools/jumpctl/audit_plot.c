/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `jumpctl audit plot`: collects what one picture shows from audit files, of one side or of both. It trusts the lines
 * as far as a picture needs (verify and replay judge them); it refuses to draw (audit_svg.c does).
 * Read next: audit_plot.h, audit_svg.c.
 */
#include "audit_plot.h"

#include <errno.h>
#include <getopt.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LANES 200
#define NS_PER_MS UINT64_C(1000000)

struct collecting {
    struct plot plot;
    void *tree;
    const char *only; /* the beginning of a session id; NULL: all */
    /* One file's clock. */
    uint64_t offset, last_mono;
    bool clock_known;
};

/* Room for one more of *items; its place, cleared; NULL: no memory. */
static void *grow(void *items, size_t *len, size_t *cap, size_t size)
{
    void **list = items;
    char *bigger;

    if (*len == *cap) {
        bigger = reallocarray(*list, *cap == 0 ? 8 : 2 * *cap, size);
        if (bigger == NULL)
            return NULL;
        *list = bigger;
        *cap = *cap == 0 ? 8 : 2 * *cap;
    }
    bigger = (char *)*list + (*len)++ * size;
    memset(bigger, 0, size);
    return bigger;
}

static uint64_t instant(struct collecting *now, const struct audit_line *line)
{
    uint64_t mono = audit_number(line, "mono_ns", 0), wall = audit_number(line, "ts_ms", 0) * NS_PER_MS;

    /* Boot time counts from 0 again after a boot; another second of tolerance for lines that crossed on their way. */
    if (!now->clock_known || mono + 1000 * NS_PER_MS < now->last_mono)
        now->offset = wall - mono;
    now->clock_known = true;
    now->last_mono = mono;
    return mono + now->offset;
}

static struct plot_lane *lane_of(struct collecting *now, const struct audit_line *line)
{
    const char *id = audit_text(line, "session_id", NULL), *role = audit_text(line, "role", "");
    struct plot_lane *lane;
    bool made;

    if (id == NULL || (now->only != NULL && strncasecmp(id, now->only, strlen(now->only)) != 0))
        return NULL;
    lane = audit_session(&now->tree, &made, line, sizeof *lane);
    if (lane == NULL)
        return NULL;
    if (made) {
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        struct plot_lane **place = grow(&now->plot.lanes, &now->plot.lanes_len, &now->plot.lanes_cap, sizeof *place);

        if (place != NULL)
            *place = lane;
        (void)snprintf(lane->node, sizeof lane->node, "%s", audit_text(line, "node_id", ""));
    }
    if (role[0] != '\0')
        lane->role = strcmp(role, "client") == 0 ? JUMP_CLIENT : JUMP_SERVER;
    return lane;
}

static void take_mode(struct plot_lane *lane, const struct audit_line *line, uint64_t at)
{
    int before = audit_mode(line, "previous_mode"), after = audit_mode(line, "new_mode");
    uint64_t age = audit_number(line, "session_age_ms", 0) * NS_PER_MS;
    struct plot_mode *mode;

    if (before < 0 || after < 0)
        return;
    if (lane->modes_len == 0 && (mode = grow(&lane->modes, &lane->modes_len, &lane->modes_cap, sizeof *mode)) != NULL) {
        mode->at = before == JUMP_MODE_BIRTH && age < at ? at - age : at;
        mode->mode = (enum jump_mode)before;
    }
    mode = grow(&lane->modes, &lane->modes_len, &lane->modes_cap, sizeof *mode);
    if (mode == NULL)
        return;
    mode->at = at;
    mode->mode = (enum jump_mode)after;
    (void)snprintf(mode->reason, sizeof mode->reason, "%s", audit_text(line, "reason_code", ""));
    (void)snprintf(mode->row, sizeof mode->row, "%s", audit_text(line, "row", ""));
    lane->ended = after == JUMP_MODE_TERMINATED;
}

static void take_binding(struct plot_lane *lane, const struct audit_line *line, uint64_t at)
{
    const char *path = audit_text(line, "new_transport", NULL);
    struct plot_binding *binding;

    if (path == NULL ||
        (binding = grow(&lane->bindings, &lane->bindings_len, &lane->bindings_cap, sizeof *binding)) == NULL)
        return;
    binding->at = at;
    binding->latency_ms = audit_number(line, "switch_latency_ms", 0);
    binding->generation = audit_number(line, "generation", 0);
    binding->voluntary = strcmp(audit_text(line, "reason_code", ""), "reattach_success") == 0 &&
                         audit_has(line, "voluntary") && strstr(line->text, "\"voluntary\":true") != NULL;
    (void)snprintf(binding->path, sizeof binding->path, "%s", path);
}

/* Which kind of mark this event is; -1: none. */
static int mark_kind(const struct audit_line *line)
{
    switch (jump_event_kind_by_name(audit_text(line, "event_type", ""))) {
    case JUMP_EVENT_REPLAY_DETECTED:
    case JUMP_EVENT_VALIDATION_FAILED:
    case JUMP_EVENT_PATH_RACE:
    case JUMP_EVENT_CREDENTIALS_SHARED:
        return PLOT_SECURITY;
    case JUMP_EVENT_SWITCH_DENIED:
    case JUMP_EVENT_REKEY_DENIED:
    case JUMP_EVENT_OWNER_REJECTED:
    case JUMP_EVENT_PATH_MTU_SUSPECT:
        return PLOT_DENIED;
    case JUMP_EVENT_KEY_ROTATED:
        return PLOT_KEY;
    case JUMP_EVENT_EVENTS_DROPPED:
        return PLOT_DROPPED;
    default:
        return -1;
    }
}

static void take_mark(struct plot_lane *lane, const struct audit_line *line, int kind, uint64_t at)
{
    struct plot_mark *mark = grow(&lane->marks, &lane->marks_len, &lane->marks_cap, sizeof *mark);
    const char *from = audit_text(line, "new_transport", NULL);

    if (mark == NULL)
        return;
    mark->at = at;
    mark->kind = (enum plot_mark_kind)kind;
    (void)snprintf(mark->text, sizeof mark->text, "%s %s%s%s", audit_text(line, "event_type", ""),
                   audit_text(line, "reason_code", ""), from != NULL ? " " : "", from != NULL ? from : "");
}

static void take(struct collecting *now, const struct audit_line *line)
{
    uint64_t at;
    struct plot_lane *lane;
    int event = jump_event_kind_by_name(audit_text(line, "event_type", "")), kind = mark_kind(line);

    if (line->object == NULL || event < 0)
        return;
    at = instant(now, line);
    lane = lane_of(now, line);
    if (lane == NULL)
        return;
    if (event == JUMP_EVENT_STATE_CHANGE)
        take_mode(lane, line, at);
    else if (event == JUMP_EVENT_TRANSPORT_ATTACHED || event == JUMP_EVENT_TRANSPORT_SWITCH)
        take_binding(lane, line, at);
    else if (kind >= 0)
        take_mark(lane, line, kind, at);
    if (now->plot.to < at)
        now->plot.to = at;
}

static int by_beginning(const void *left, const void *right)
{
    const struct plot_lane *a = *(struct plot_lane *const *)left, *b = *(struct plot_lane *const *)right;

    if (a->modes[0].at != b->modes[0].at)
        return a->modes[0].at < b->modes[0].at ? -1 : 1;
    return strcmp(a->key, b->key);
}

static void lane_free(void *item)
{
    struct plot_lane *lane = item;

    free(lane->modes);
    free(lane->bindings);
    free(lane->marks);
    free(lane);
}

/* Leave out what has no state, order the rest. */
static void lanes_ready(struct plot *plot)
{
    size_t kept = 0;

    for (size_t i = 0; i < plot->lanes_len; i++)
        if (plot->lanes[i]->modes_len > 0)
            plot->lanes[kept++] = plot->lanes[i];
    plot->lanes_len = kept;
    if (kept > 1)
        qsort(plot->lanes, kept, sizeof plot->lanes[0], by_beginning); /* NOLINT(bugprone-sizeof-expression): of pointers */
    if (kept > MOST_LANES) {
        plot->left_out = kept - MOST_LANES;
        plot->lanes_len = MOST_LANES;
    }
    if (plot->lanes_len > 0)
        plot->from = plot->lanes[0]->modes[0].at;
}

static bool collect(struct collecting *now, char **paths, int count)
{
    bool failed = false;

    for (int i = 0; i < count && !failed; i++) {
        struct audit_reader reader;
        const struct audit_line *line;

        if (!audit_read_open(&reader, paths[i]))
            return false;
        now->clock_known = false;
        while ((line = audit_read_next(&reader, &failed)) != NULL)
            take(now, line);
        audit_read_close(&reader);
    }
    return !failed;
}

static int write_picture(const struct plot *plot, const char *out_path)
{
    bool standard = strcmp(out_path, "-") == 0;
    FILE *to = standard ? stdout : fopen(out_path, "we");
    bool good;

    if (to == NULL)
        return jumpctl_error("cannot write %s: %s", out_path, strerror(errno));
    plot_svg(to, plot);
    good = fflush(to) == 0 && !ferror(to);
    if (!standard && fclose(to) != 0)
        good = false;
    if (!good)
        return jumpctl_error("cannot write %s: %s", out_path, strerror(errno));
    if (!standard)
        printf("%s: %zu lane%s%s\n", out_path, plot->lanes_len, plot->lanes_len == 1 ? "" : "s",
               plot->left_out > 0 ? " (the first of more; --session draws one)" : "");
    return JUMPCTL_GOOD;
}

int jumpctl_audit_plot(int argc, char **argv)
{
    static const struct option options[] = {{"session", required_argument, NULL, 's'}, {"output", required_argument, NULL, 'o'}, {0}};
    struct collecting now = {0};
    const char *out_path = NULL;
    int option, result = JUMPCTL_USAGE;

    while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
        if (option == 's')
            now.only = optarg;
        else if (option == 'o')
            out_path = optarg;
        else
            return jumpctl_usage("audit plot", "unknown or incomplete option");
    }
    if (optind == argc || out_path == NULL)
        return jumpctl_usage("audit plot", "give the audit file, and -o OUT.svg");
    if (collect(&now, argv + optind, argc - optind)) {
        lanes_ready(&now.plot);
        if (now.plot.lanes_len > 0)
            result = write_picture(&now.plot, out_path);
        else {
            (void)jumpctl_error("there is no session to draw%s", now.only != NULL ? " with this id" : " yet");
            result = JUMPCTL_FOUND;
        }
    }
    tdestroy(now.tree, lane_free);
    free(now.plot.lanes);
    return result;
}
