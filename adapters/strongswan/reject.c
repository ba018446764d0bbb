/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Kernel ESP: what becomes of inner TCP connections while a session has no path. What they send cannot be held here as in
 * user space (hold.c); left alone they try ever more rarely, and after a hole of a minute are silent for most of another.
 * A host-unreachable for each try keeps them at the pace of the last one (RFC 6069). So the firewall of this very network
 * namespace is asked to show us what leaves by an unbound session's CHILD_SAs (NFLOG), and kick.c answers and, at the end, wakes.
 * Connections being opened, and those being reset, are left alone; so is what came in by a tunnel itself (a hub's): the answer
 * would quote it to an address in that tunnel, and from this host's own no policy may match it.
 *
 * The firewall lets all of it pass, to where nobody receives it. Were it to reject by itself: a sender on this host is told by
 * its own kernel that nothing left, and what never left is tried again by another timer, which no ICMP error moves; hosts behind
 * this one hear one rejection a second at most; and rules outlive the hole by the time that a process takes to remove them.
 * What is lost then is lost under a new path, and what TCP has just measured as its round trip is the length of the hole.
 *
 * The rules name the kernel's reqid and nothing else: no address, no port. charon gives CHILD_SAs with the same traffic selectors
 * the same reqid, and the newest of them carries the traffic: a reqid is waited for only until another one comes up. The rules
 * are in a table (iptables: a chain) that is ours alone, and there is none while every session has a path; nft's entries
 * end by themselves if we do not renew them, what iptables has is taken away at the next start. nft is asked, and where this kernel has none iptables, through a shell in one of charon's workers, as its updown
 * plugin does. Its lock is held then, no other, and no IKE_SA.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <processing/jobs/callback_job.h>
#include <utils/process.h>

#include "strongswan/adapter.h"
#include "strongswan/kick.h"

#define AFTER_MS 250u /* most gaps have ended by then, and no connection tries much more rarely */
#define RENEW_MS 20000u
#define LEASE_S 60
#define REQIDS_MAX 1024u /* beyond that the rest waits by its own clock */
#define WITHOUT "table inet jumping\ndelete table inet jumping\n"
#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define GROUP TEXT(JUMP_SWAN_LOG_GROUP)
#define TRIES "tcp flags & (syn|rst) == 0 ipsec out reqid @waiting limit rate 2000/second burst 500 packets log group " GROUP \
    " snaplen 128"
#define PATH "PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH\n" /* charon's shell has none of its own */
#define OLD_BEGIN \
    PATH "exec >/dev/null 2>&1; for t in iptables ip6tables; do\n" \
    "command -v $t-legacy && t=$t-legacy; r=\"$t-restore -n -w 2\"; t=\"$t -w 2\"; for c in OUTPUT FORWARD; do\n" \
    "p=; [ $c = OUTPUT ] || p='-m policy --dir in --pol none'; j=\"$c -p tcp --tcp-flags SYN,RST NONE $p -j jumping\"; "

static mutex_t *turn; /* one shell at a time; guards what follows */
static bool clean;    /* what an earlier life may have left is gone, and `old` is known */
static bool old;      /* no nft here: iptables */
static bool renewing; /* a job that renews is scheduled */
static bool said;
static bool asked;    /* a job that looks at the table is queued; under jump_swan->lock */
static bool bound;    /* since the last look a session was bound that had waited: under jump_swan->lock */

struct text {
    char bytes[2048 + REQIDS_MAX * 112]; /* the shell's argument: Linux allows 128 KiB */
    size_t len;
};

static struct text applied; /* the newest script, if it ran at all */
static enum { RUN_NEVER, RUN_WELL, RUN_BADLY } last_run; /* RUN_BADLY: what could not be taken away is tried again */

static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(text->bytes + text->len, sizeof text->bytes - text->len, format, arguments);
    va_end(arguments);
    if (len > 0 && (size_t)len < sizeof text->bytes - text->len)
        text->len += (size_t)len;
}

/* The whole of what is to be there, whatever is there now. away: not even an empty chain stays. */
static void write_script(struct text *text, const uint32_t *reqids, size_t len, bool away)
{
    text->len = 0;
    if (!old) {
        add(text, PATH "exec nft -f - <<'E' >/dev/null 2>&1\n" WITHOUT);
        if (len > 0)
            add(text, "table inet jumping {\nset waiting { typeof ipsec out reqid; flags timeout; elements = {");
        for (size_t i = 0; i < len; i++)
            add(text, "%s %u timeout %us", i > 0 ? "," : "", reqids[i], LEASE_S);
        if (len > 0)
            add(text, " }; }\nchain output { type filter hook output priority 0; " TRIES "; }\n"
                      "chain forward { type filter hook forward priority 0; meta secpath missing " TRIES "; }\n}\n");
        add(text, "E\n");
    } else if (len == 0 && !away) {
        add(text, OLD_BEGIN ":; done; $t -n -L jumping || continue; $t -F jumping || s=1; done; exit ${s:-0}\n");
    } else if (len == 0) {
        add(text, OLD_BEGIN "$t -D $j; done; $t -F jumping; $t -X jumping; done; exit 0\n");
    } else {
        /* One command for all rules: one for each took a gateway's processor away for seconds, of hundreds of sessions. */
        add(text, OLD_BEGIN "$t -N jumping; $t -C $j || $t -I $j; done; "
                            "q='-A jumping -m policy --dir out --pol ipsec --reqid'; l='-m limit --limit 500/second --limit-burst 100 "
                            "-j NFLOG --nflog-group " GROUP " --nflog-size 128'; $r <<E || s=1\n*filter\n:jumping - [0:0]\n");
        for (size_t i = 0; i < len; i++)
            add(text, "$q %u $l\n", reqids[i]);
        add(text, "COMMIT\nE\ndone; exit ${s:-0}\n");
    }
}

static bool run_script(const struct text *text)
{
    process_t *process = process_start_shell(NULL, NULL, NULL, NULL, "%s", text->bytes);
    int status = 127;

    return process != NULL && process->wait(process, &status) && status == 0;
}

/* What an earlier life may have left goes first; that shows which firewall there is, once and for all, so that none of the
 * two is ever left with what the other was to take away. */
static void begin_clean(struct text *text)
{
    write_script(text, NULL, 0, true);
    old = !run_script(text);
    if (!old)
        return;
    write_script(text, NULL, 0, true);
    (void)run_script(text);
}

/* Make it as the table of peers is. Under turn. @return whether any session waits */
static bool apply(bool renew)
{
    static struct text text;
    static uint32_t reqids[REQIDS_MAX];
    size_t len = jump_swan_peers_waiting(jump_swan, reqids, REQIDS_MAX);

    if (!clean)
        begin_clean(&text);
    clean = true;
    write_script(&text, reqids, len, false);
    if (renew || (last_run == RUN_NEVER ? len > 0 : last_run == RUN_BADLY || strcmp(applied.bytes, text.bytes) != 0)) {
        last_run = run_script(&text) ? RUN_WELL : RUN_BADLY;
        if (last_run == RUN_BADLY && !said) {
            said = true;
            DBG1(DBG_CFG, "jumping: neither nft nor iptables shows what has no path: after a hole TCP connections inside come "
                          "back when they try again by themselves");
        }
        applied = text;
        return len > 0 || last_run == RUN_BADLY;
    }
    return len > 0;
}

static job_requeue_t renew(void *unused)
{
    bool again;

    turn->lock(turn);
    again = renewing = apply(true);
    turn->unlock(turn);
    return again ? JOB_RESCHEDULE_MS(RENEW_MS) : JOB_REQUEUE_NONE;
}

static job_requeue_t look(void *unused)
{
    bool waiting, wake;

    turn->lock(turn); /* before `asked` is taken back: one job waits for the turn, not one for each that asks meanwhile */
    jump_swan->lock->lock(jump_swan->lock);
    asked = false;
    wake = bound;
    bound = false;
    jump_swan->lock->unlock(jump_swan->lock);
    if (wake)
        jump_swan_kick(); /* they try often from now on, and show themselves once more */
    waiting = apply(false);
    if (wake)
        jump_swan_kick();
    if (waiting && !renewing) {
        renewing = true;
        lib->scheduler->schedule_job_ms(lib->scheduler, (job_t *)callback_job_create(renew, NULL, NULL, NULL), RENEW_MS);
    }
    turn->unlock(turn);
    return JOB_REQUEUE_NONE;
}

void jump_swan_reject_look(struct jump_swan *swan, bool was_bound)
{
    bool first;

    if (turn == NULL)
        return;
    swan->lock->lock(swan->lock);
    first = !asked;
    asked = true;
    bound |= was_bound;
    swan->lock->unlock(swan->lock);
    if (first)
        lib->processor->queue_job(lib->processor, (job_t *)callback_job_create_with_prio(look, NULL, NULL, NULL, JOB_PRIO_HIGH));
}

static bool is_among(uint32_t reqid, const uint32_t *reqids, size_t len)
{
    while (len-- > 0)
        if (reqids[len] == reqid)
            return true;
    return false;
}

/* A reqid that the configuration gives may be others' too; a rekeyed CHILD_SA and its successor have the same. */
static size_t reqids_of(ike_sa_t *sa, uint32_t *out, size_t cap)
{
    enumerator_t *enumerator = sa->create_child_sa_enumerator(sa);
    child_sa_t *child;
    size_t len = 0;

    while (len < cap && enumerator->enumerate(enumerator, &child)) {
        child_cfg_t *config = child->get_config(child);

        if (config->get_reqid(config) == 0 && !is_among(child->get_reqid(child), out, len))
            out[len++] = child->get_reqid(child);
    }
    enumerator->destroy(enumerator);
    return len;
}

static job_requeue_t collect(void *host)
{
    ike_sa_id_t *id = jump_swan_peer_unbound_id(jump_swan, (jump_host)(uintptr_t)host);
    uint32_t reqids[JUMP_SWAN_REQIDS];
    size_t len = 0;
    ike_sa_t *sa;

    if (id == NULL)
        return JOB_REQUEUE_NONE;
    sa = charon->ike_sa_manager->checkout(charon->ike_sa_manager, id);
    if (sa != NULL) {
        len = reqids_of(sa, reqids, JUMP_SWAN_REQIDS);
        charon->ike_sa_manager->checkin(charon->ike_sa_manager, sa);
    }
    id->destroy(id);
    if (jump_swan_peer_waits(jump_swan, (jump_host)(uintptr_t)host, reqids, len))
        jump_swan_reject_look(jump_swan, false);
    return JOB_REQUEUE_NONE;
}

void jump_swan_reject_stop(jump_host host)
{
    if (turn != NULL)
        lib->scheduler->schedule_job_ms(lib->scheduler, (job_t *)callback_job_create(collect, (void *)(uintptr_t)host, NULL, NULL),
                                        AFTER_MS);
}

void jump_swan_reject_begin(struct jump_swan *swan)
{
    jump_swan_kick_begin();
    turn = mutex_create(MUTEX_TYPE_DEFAULT);
    asked = bound = renewing = said = clean = false;
}

void jump_swan_reject_end(void)
{
    static struct text text;

    if (turn == NULL)
        return;
    write_script(&text, NULL, 0, true);
    if (last_run != RUN_NEVER && (last_run == RUN_BADLY || strcmp(applied.bytes, text.bytes) != 0))
        (void)run_script(&text);
    last_run = RUN_NEVER;
    turn->destroy(turn);
    turn = NULL;
    jump_swan_kick_end();
}
