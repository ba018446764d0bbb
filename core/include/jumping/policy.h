/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bounds a session is born under (docs/policy.md). Rows are data: the checker, the man page and the
 * example files come from them. Reads no file: an adapter feeds key, value and line.
 */
#ifndef JUMPING_POLICY_H
#define JUMPING_POLICY_H

#include <jumping/types.h>

#define JUMP_PPM 1000000u                       /* ratios are parts per million */
#define JUMP_PROTO_BIT(proto) (1u << (proto))   /* transport.allowed_protocols */

enum jump_policy_type {
    JUMP_POLICY_MS,        /* milliseconds, decimal integer */
    JUMP_POLICY_COUNT,     /* decimal integer */
    JUMP_POLICY_POINTS,    /* points of 100 */
    JUMP_POLICY_RATIO,     /* decimal fraction 0 < x <= 1, kept as ppm */
    JUMP_POLICY_PROTOCOLS, /* comma list of udp, tcp, kept as bits */
    JUMP_POLICY_POWER2     /* decimal integer, a power of two */
};

/* section, key, type, required, least, most, default (= mobile), sentence for people.
 * Ranges that depend on another key (see policy.c, jump_policy_finish) are checked there. */
#define JUMP_POLICY_ROWS(X)                                                                                     \
    X(session, max_lifetime_ms, MS, true, 60000u, 2592000000u, 86400000u,                                        \
      "A session ends at the latest this long after its birth.")                                                \
    X(session, transport_lost_ttl_ms, MS, true, 1000u, 2592000000u, 300000u,                                     \
      "A session without a working path ends after this long.")                                                 \
    X(session, birth_window_ms, MS, false, 500u, 60000u, 10000u,                                                \
      "Both sides must have confirmed the session this long after the user was authorised.")                    \
    X(volatility, heartbeat_interval_ms, MS, false, 100u, 60000u, 500u,                                         \
      "A busy client probes its path this often.")                                                              \
    X(volatility, idle_interval_ms, MS, false, 100u, 60000u, 15000u,                                            \
      "An idle client (no data either way for 10 s) stretches its probes up to this interval.")                 \
    X(volatility, heartbeat_volatile_ms, MS, false, 100u, 600000u, 1500u,                                       \
      "A path that has not answered for this long is volatile.")                                                \
    X(volatility, loss_window_ms, MS, false, 500u, 60000u, 2000u,                                               \
      "Loss and round-trip time are measured over this window.")                                                \
    X(volatility, loss_volatile_threshold, RATIO, true, 1u, 1000000u, 200000u,                                  \
      "A path that loses more than this share of its probes over the window is volatile.")                      \
    X(volatility, max_consecutive_drops, COUNT, false, 2u, 20u, 3u,                                             \
      "This many probes in a row without an answer mean that a clean path is dead.")                            \
    X(volatility, volatile_to_degraded_ms, MS, false, 500u, 2592000000u, 4000u,                                 \
      "A path that stays volatile for this long is degraded.")                                                  \
    X(volatility, stable_window_ms, MS, false, 500u, 2592000000u, 2000u,                                        \
      "A path is healthy again after this long below every threshold.")                                         \
    X(volatility, latency_volatile_threshold_ms, MS, false, 0u, 600000u, 0u,                                    \
      "A path with a longer round trip than this over the window is volatile; 0 switches the check off.")       \
    X(switching, max_switches_per_min, COUNT, true, 0u, 120u, 12u,                                              \
      "At most this many changes of the binding in any 60 seconds; 0 means never.")                             \
    X(switching, switch_cooldown_ms, MS, false, 0u, 60000u, 1000u,                                              \
      "No voluntary change of the binding for this long after one.")                                            \
    X(switching, recovery_window_ms, MS, true, 500u, 2592000000u, 300000u,                                      \
      "A client that has lost its path ends the session after trying for this long.")                           \
    X(switching, hysteresis_margin, POINTS, false, 0u, 100u, 5u,                                                \
      "A candidate must be better by this many points of 100 before a client switches to it by choice.")        \
    X(transport, allowed_protocols, PROTOCOLS, false, 1u, 3u, 3u,                                               \
      "Protocols a binding may use: udp, tcp or both, with a comma.")                                           \
    X(transport, max_candidates, COUNT, false, 1u, 8u, 4u,                                                      \
      "A client keeps at most this many ways to reach its server in view.")                                     \
    X(security, reattach_proof_max_age_ms, MS, true, 500u, 60000u, 5000u,                                       \
      "A challenge is valid for at least this long, and for at most twice as long.")                            \
    X(security, replay_window, POWER2, false, 64u, 4096u, 128u,                                                 \
      "Messages may arrive out of order by up to this many; a power of two.")                                   \
    X(security, key_max_age_ms, MS, false, 2001u, 4294967295u, 3600000u,                                        \
      "A key older than this is not used; more than twice transport_lost_ttl_ms.")

/** Every value as u32 in the unit of its row. Plain data: copied, compared and sent as it is. */
struct jump_policy {
    uint16_t version_major, version_minor;
#define X(section, key, type, required, least, most, preset, help) uint32_t key;
    JUMP_POLICY_ROWS(X)
#undef X
};

enum jump_policy_key {
#define X(section, key, type, required, least, most, preset, help) JUMP_POLICY_KEY_##key,
    JUMP_POLICY_ROWS(X)
#undef X
    JUMP_POLICY_KEY_COUNT
};

struct jump_policy_row {
    const char *section, *key, *help;
    enum jump_policy_type type;
    bool required;
    uint32_t least, most, preset;
};
extern const struct jump_policy_row jump_policy_rows[JUMP_POLICY_KEY_COUNT];

#define JUMP_POLICY_TEXT_BYTES 128

/** One finding of the checker; all text is bounded and NUL-terminated. */
struct jump_policy_error {
    unsigned line;                        /* 1-based; 0: the file as a whole (a missing key) */
    char key[JUMP_POLICY_TEXT_BYTES];     /* "section.key" as written, or "version" */
    char value[JUMP_POLICY_TEXT_BYTES];   /* as written, cut if long, "" if absent */
    char range[JUMP_POLICY_TEXT_BYTES];   /* what is allowed, in words: "500 .. 60000" or "> heartbeat_interval_ms (500)" */
    char problem[JUMP_POLICY_TEXT_BYTES]; /* one clause: "out of range", "unknown key", "not a number", ... */
};

#define JUMP_POLICY_MAX_ERRORS 32

/** A policy while it is being read. Plain struct so that callers can put it on the stack. */
struct jump_policy_draft {
    struct jump_policy policy;
    unsigned line[JUMP_POLICY_KEY_COUNT]; /* where each key stood; 0: absent */
    unsigned version_line;
    unsigned error_count;                 /* all errors found; the first JUMP_POLICY_MAX_ERRORS are kept */
    struct jump_policy_error errors[JUMP_POLICY_MAX_ERRORS];
};

/** Start a draft: every key at its default, nothing seen. */
void jump_policy_begin(struct jump_policy_draft *draft);

/**
 * Take one key. Every problem becomes an error in the draft: unknown or doubled key, value out of range.
 *
 * @param section "" for keys before the first section (only `version` lives there)
 * @param line    1-based line in the file
 */
void jump_policy_take(struct jump_policy_draft *draft, const char *section, const char *key, const char *value,
                      unsigned line);

/**
 * Check what needs the whole: required keys, ranges that depend on another key. A default that an explicit
 * key makes inconsistent is reported at that key's line.
 *
 * @return 0: draft->policy is valid; JUMP_ERR_POLICY: see draft->errors
 */
int jump_policy_finish(struct jump_policy_draft *draft);

/** The check of jump_policy_finish for values that came from elsewhere (a peer's snapshot). 0 or JUMP_ERR_POLICY. */
int jump_policy_valid(const struct jump_policy *policy);

/** The value of one row, in its unit. */
uint32_t jump_policy_value(const struct jump_policy *policy, enum jump_policy_key key);
void jump_policy_set(struct jump_policy *policy, enum jump_policy_key key, uint32_t value);

#endif
