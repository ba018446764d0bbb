/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The shipped profiles for tests of the engine: core/policy/<name>.ini as it is, read with the core's own checker.
 * Needs -DPOLICIES='"<folder>"'.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include <jumping/policy.h>
#include <stdio.h>
#include <string.h>

/* @return false: no such profile, or not a valid one */
static inline bool profile_load(struct jump_policy *policy, const char *name)
{
    static struct jump_policy_draft draft;
    char file[512], line[256], section[64] = "", key[64], value[128];
    snprintf(file, sizeof file, "%s/%s.ini", POLICIES, name);
    FILE *in = fopen(file, "r");
    if (!in)
        return false;
    jump_policy_begin(&draft);
    for (unsigned number = 1; fgets(line, sizeof line, in); number++) {
        if (line[0] == '[' && sscanf(line, "[%63[^]]]", section) == 1)
            continue;
        if (line[0] != ';' && sscanf(line, "%63[a-z_] = %127[^\n]", key, value) == 2)
            jump_policy_take(&draft, section, key, value, number);
    }
    fclose(in);
    if (jump_policy_finish(&draft) != 0)
        return false;
    *policy = draft.policy;
    return true;
}

#endif
