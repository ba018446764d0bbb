/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target policy: a policy file (adapters/system/policy_file.c, core/policy.c).
 *
 * What an attacker gains here: a policy file is an administrator's, often copied from elsewhere. One that is taken for valid
 * and is not gives sessions without bounds; a finding with control characters in it writes to the administrator's terminal.
 *
 * Asserted: the result says whether there are findings; what is taken passes the check for a peer's values and lies in the
 * range of each row, also those that keys have of each other, and one step beyond each is refused; written out as a file it is read back the same; each finding is one line of printable text that names
 * a line of the file.
 *
 * Input: the file.
 */
#include <string.h>

#include <jumping/policy.h>

#include "fuzz.h"
#include "system/policy_file.h"

static unsigned lines_of(const uint8_t *data, size_t size)
{
    unsigned lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    return lines;
}

static void findings(const struct jump_policy_draft *draft, unsigned lines)
{
    char line[JUMP_POLICY_FILE_LINE_BYTES];
    unsigned kept = draft->error_count < JUMP_POLICY_MAX_ERRORS ? draft->error_count : JUMP_POLICY_MAX_ERRORS;
    for (unsigned i = 0; i < kept; i++) {
        FUZZ_MUST(draft->errors[i].line <= lines);
        FUZZ_MUST(draft->errors[i].problem[0] != '\0');
        jump_policy_file_describe(line, "a policy\nwith a \x1b in its name", &draft->errors[i]);
        for (const char *c = line; *c != '\0'; c++)
            FUZZ_MUST((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
}

static void put_value(char *out, size_t cap, const struct jump_policy_row *row, uint32_t value)
{
    if (row->type == JUMP_POLICY_RATIO)
        (void)snprintf(out, cap, "%u.%06u", value / 1000000, value % 1000000);
    else if (row->type == JUMP_POLICY_PROTOCOLS)
        (void)snprintf(out, cap, "%s", value == 1 ? "udp" : value == 2 ? "tcp" : "udp, tcp");
    else
        (void)snprintf(out, cap, "%u", value);
}

static void again(const struct jump_policy *policy)
{
    static struct jump_policy_draft draft;
    char text[8192];
    size_t len = (size_t)snprintf(text, sizeof text, "version = %u.%u\n", policy->version_major, policy->version_minor);
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++) {
        const struct jump_policy_row *row = &jump_policy_rows[key];
        char value[32];
        put_value(value, sizeof value, row, jump_policy_value(policy, (enum jump_policy_key)key));
        len += (size_t)snprintf(text + len, sizeof text - len, "[%s]\n%s = %s\n", row->section, row->key, value);
        FUZZ_MUST(len < sizeof text);
    }
    FUZZ_MUST(jump_policy_file_parse(&draft, text, len) == 0);
    FUZZ_MUST(memcmp(&draft.policy, policy, sizeof *policy) == 0);
}

static void refused(const struct jump_policy *policy, enum jump_policy_key key, uint64_t value)
{
    struct jump_policy changed = *policy;
    if (value > UINT32_MAX)
        return;
    jump_policy_set(&changed, key, (uint32_t)value);
    FUZZ_MUST(jump_policy_valid(&changed) == JUMP_ERR_POLICY);
}

/* What keys demand of each other (docs/policy.md), written down once more; and one step beyond each end is too far. */
static void ends_are_where_they_must_be(const struct jump_policy *p)
{
    FUZZ_MUST(p->transport_lost_ttl_ms <= p->max_lifetime_ms && p->recovery_window_ms <= p->transport_lost_ttl_ms);
    FUZZ_MUST(p->idle_interval_ms >= p->heartbeat_interval_ms && p->heartbeat_volatile_ms > p->heartbeat_interval_ms);
    FUZZ_MUST(p->key_max_age_ms > UINT64_C(2) * p->transport_lost_ttl_ms);
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++) {
        refused(p, (enum jump_policy_key)key, jump_policy_rows[key].most + UINT64_C(1));
        if (jump_policy_rows[key].least > 0)
            refused(p, (enum jump_policy_key)key, jump_policy_rows[key].least - 1);
    }
    refused(p, JUMP_POLICY_KEY_transport_lost_ttl_ms, p->max_lifetime_ms + UINT64_C(1));
    refused(p, JUMP_POLICY_KEY_recovery_window_ms, p->transport_lost_ttl_ms + UINT64_C(1));
    refused(p, JUMP_POLICY_KEY_heartbeat_volatile_ms, p->heartbeat_interval_ms);
    refused(p, JUMP_POLICY_KEY_key_max_age_ms, UINT64_C(2) * p->transport_lost_ttl_ms);
    if (p->heartbeat_interval_ms > 0)
        refused(p, JUMP_POLICY_KEY_idle_interval_ms, p->heartbeat_interval_ms - UINT64_C(1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jump_policy_draft draft;
    int result = jump_policy_file_parse(&draft, (const char *)data, size);
    FUZZ_MUST(result == (draft.error_count > 0 ? JUMP_ERR_POLICY : 0));
    findings(&draft, lines_of(data, size));
    if (result != 0)
        return 0;
    FUZZ_MUST(jump_policy_valid(&draft.policy) == 0);
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++) {
        uint32_t value = jump_policy_value(&draft.policy, (enum jump_policy_key)key);
        FUZZ_MUST(value >= jump_policy_rows[key].least && value <= jump_policy_rows[key].most);
    }
    ends_are_where_they_must_be(&draft.policy);
    again(&draft.policy);
    return 0;
}
