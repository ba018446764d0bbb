/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `jumpctl audit replay`: takes the SessionStateChange lines through the core's own table and says where they do not
 * come out as they were recorded. It trusts no line; it refuses to check the chain (verify does).
 * Read next: core/fsm.def (the table), docs/audit.md.
 */
#include <getopt.h>
#include <inttypes.h>
#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jumping/fsm.h>

#include "jumpctl.h"

/* One session as one side saw it. */
struct replayed {
    char key[AUDIT_KEY_BYTES];
    bool begun;
    enum jump_role role;
    enum jump_mode mode;
    uint64_t version;
    uint64_t hole_first, hole_last; /* versions whose events were reported as dropped */
};

#define NOT_OURS 10 /* so many first lines that are none of an audit log: it is something else */
#define MOST_SHOWN 100

struct replay {
    void *sessions;
    const char *path;
    bool older_missing; /* the first file is not the log's first: sessions may be under way */
    bool any_dropped;   /* an EventsDropped that names no session: any may have a hole */
    uint64_t session_count, transitions, resumed;
    unsigned findings;
};

static void finding(struct replay *replay, const struct audit_line *line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void finding(struct replay *replay, const struct audit_line *line, const char *format, ...)
{
    char text[512], id[9];
    va_list arguments;

    if (++replay->findings > MOST_SHOWN)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)snprintf(id, sizeof id, "%s", audit_text(line, "session_id", "?"));
    printf("%s:%lu: session %s: %s%s%s\n", replay->path, line->number, jumpctl_clean(id), jumpctl_colour(stdout, 'r'),
           jumpctl_clean(text), jumpctl_colour(stdout, 0));
    if (replay->findings == MOST_SHOWN)
        printf("more findings are counted, not shown\n");
}

/* What the line claims, by number. */
struct claim {
    int before, after, event, reason;
    enum jump_role role;
    uint64_t version;
};

static bool claim_read(struct claim *claim, struct replay *replay, const struct audit_line *line)
{
    const char *role = audit_text(line, "role", "");

    claim->before = audit_mode(line, "previous_mode");
    claim->after = audit_mode(line, "new_mode");
    claim->event = jump_fsm_event_by_name(audit_text(line, "event", ""));
    claim->reason = jump_reason_by_name(audit_text(line, "reason_code", ""));
    claim->role = strcmp(role, "client") == 0 ? JUMP_CLIENT : JUMP_SERVER;
    claim->version = audit_number(line, "state_version", 0);
    if (claim->before < 0 || claim->after < 0 || claim->event < 0 || claim->reason < 0 || claim->version == 0 ||
        (claim->role == JUMP_SERVER && strcmp(role, "server") != 0)) {
        finding(replay, line, "previous_mode, new_mode, event, reason_code, role or state_version is absent or unknown");
        return false;
    }
    return true;
}

/* Does the table give what the line claims? */
static void check_row(struct replay *replay, const struct audit_line *line, const struct claim *claim)
{
    const struct jump_row *row =
        jump_fsm_row((enum jump_mode)claim->before, (enum jump_fsm_event)claim->event, claim->role);
    const char *before = jump_mode_name((enum jump_mode)claim->before);
    const char *event = jump_fsm_event_name((enum jump_fsm_event)claim->event);

    if (row->kind != JUMP_ROW_MOVE) {
        finding(replay, line, "%s in %s is no transition of a %s", event, before,
                claim->role == JUMP_CLIENT ? "client" : "server");
        return;
    }
    if (row->to != claim->after)
        finding(replay, line, "%s in %s leads to %s (%s), not to %s", event, before,
                jump_mode_name((enum jump_mode)row->to), row->name, jump_mode_name((enum jump_mode)claim->after));
    if (strcmp(row->name, audit_text(line, "row", "")) != 0)
        finding(replay, line, "%s in %s is row %s, not \"%s\"", event, before, row->name, audit_text(line, "row", ""));
    if (!jump_fsm_reason_fits(row, (enum jump_reason)claim->reason))
        finding(replay, line, "row %s carries no reason %s", row->name, jump_reason_name((enum jump_reason)claim->reason));
    if (strcmp(audit_text(line, "previous_state", ""), jump_state_name(jump_mode_state((enum jump_mode)claim->before))) != 0 ||
        strcmp(audit_text(line, "new_state", ""), jump_state_name(jump_mode_state((enum jump_mode)claim->after))) != 0)
        finding(replay, line, "the states do not fit the modes");
}

/* May events before this version be missing, because it was said that they are? */
static bool hole_covers(const struct replay *replay, const struct replayed *session, uint64_t version)
{
    if (replay->any_dropped)
        return true;
    return session->hole_last != 0 && session->hole_first <= session->version + 1 && version <= session->hole_last + 1;
}

static void check_order(struct replay *replay, struct replayed *session, const struct audit_line *line,
                        const struct claim *claim)
{
    bool under_way = !session->begun && (replay->older_missing || hole_covers(replay, session, claim->version));
    bool hole = session->begun && claim->version > session->version + 1 && hole_covers(replay, session, claim->version);

    if (under_way || hole) {
        replay->resumed++;
        return;
    }
    if (!session->begun && (claim->before != JUMP_MODE_BIRTH || claim->version != 1))
        finding(replay, line, "the session's first transition is version %" PRIu64 " from %s, not 1 from BIRTH",
                claim->version, jump_mode_name((enum jump_mode)claim->before));
    if (!session->begun)
        return;
    if (claim->version != session->version + 1)
        finding(replay, line, "version %" PRIu64 " follows %" PRIu64, claim->version, session->version);
    if (claim->before != (int)session->mode)
        finding(replay, line, "it was in %s, not in %s", jump_mode_name(session->mode),
                jump_mode_name((enum jump_mode)claim->before));
    if (claim->role != session->role)
        finding(replay, line, "its role changed");
}

static void take(struct replay *replay, const struct audit_line *line)
{
    const char *kind = audit_text(line, "event_type", "");
    struct replayed *session;
    struct claim claim;
    bool made;

    if (strcmp(kind, "EventsDropped") == 0 && !audit_has(line, "session_id"))
        replay->any_dropped = true;
    if ((strcmp(kind, "SessionStateChange") != 0 && strcmp(kind, "EventsDropped") != 0) || !audit_has(line, "session_id"))
        return;
    session = audit_session(&replay->sessions, &made, line, sizeof *session);
    if (session == NULL)
        return;
    replay->session_count += made;
    if (strcmp(kind, "EventsDropped") == 0) {
        session->hole_first = audit_number(line, "first_version", 0);
        session->hole_last = audit_number(line, "last_version", 0);
        return;
    }
    replay->transitions++;
    if (!claim_read(&claim, replay, line))
        return;
    check_order(replay, session, line, &claim);
    check_row(replay, line, &claim);
    session->begun = true;
    session->role = claim.role;
    session->mode = (enum jump_mode)claim.after;
    session->version = claim.version;
    session->hole_first = session->hole_last = 0;
}

/* One file. @return false: it is no audit log, which was said */
static bool take_file(struct replay *replay, struct audit_reader *reader, bool oldest, bool *failed)
{
    const struct audit_line *line;
    unsigned long lines = 0, ours = 0;

    while ((line = audit_read_next(reader, failed)) != NULL) {
        if (oldest && line->number == 1)
            replay->older_missing = line->chained && line->seq > 1;
        lines++;
        ours += line->chained;
        if (ours == 0 && lines == NOT_OURS)
            break;
        if (line->object == NULL && line->torn)
            printf("%s:%lu: note: a piece of a line, passed over\n", replay->path, line->number);
        else if (line->object == NULL)
            finding(replay, line, "not one JSON object on one line");
        else
            take(replay, line);
    }
    if (ours > 0 || lines == 0 || *failed)
        return true;
    printf("%s: no audit log: none of its %s%lu lines is a line of one\n", replay->path, lines == NOT_OURS ? "first " : "",
           lines);
    return false;
}

int jumpctl_audit_replay(int argc, char **argv)
{
    static const struct option options[] = {{0}};
    struct replay replay = {0};
    bool failed = false, ours = true;

    if (getopt_long(argc, argv, "", options, NULL) != -1)
        return jumpctl_usage("audit replay", "it has no options");
    if (optind == argc)
        return jumpctl_usage("audit replay", "give the audit file (rotated ones: the oldest first)");
    for (int i = optind; i < argc && !failed && ours; i++) {
        struct audit_reader reader;

        if (!audit_read_open(&reader, argv[i]))
            return JUMPCTL_USAGE;
        replay.path = argv[i];
        ours = take_file(&replay, &reader, i == optind, &failed);
        audit_read_close(&reader);
    }
    tdestroy(replay.sessions, free);
    if (failed)
        return JUMPCTL_USAGE;
    if (!ours)
        return JUMPCTL_FOUND;
    if (replay.resumed > 0)
        printf("note: %" PRIu64 " time%s a session goes on after lines that are in an older file or were reported as dropped\n",
               replay.resumed, replay.resumed == 1 ? "" : "s");
    if (replay.findings > 0) {
        printf("%sDIFFERENT%s: %u finding%s in %" PRIu64 " transitions of %" PRIu64 " sessions\n", jumpctl_colour(stdout, 'r'),
               jumpctl_colour(stdout, 0), replay.findings, replay.findings == 1 ? "" : "s", replay.transitions,
               replay.session_count);
        return JUMPCTL_FOUND;
    }
    printf("%sgood%s: %" PRIu64 " transitions of %" PRIu64 " session%s, each as the table has it\n", jumpctl_colour(stdout, 'g'),
           jumpctl_colour(stdout, 0), replay.transitions, replay.session_count, replay.session_count == 1 ? "" : "s");
    return JUMPCTL_GOOD;
}
