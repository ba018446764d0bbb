/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `jumpctl policy check` and `jumpctl policy show`: the core's rows and findings as text. It owns no rule: what a key may
 * hold is asked of the core, even for the table in docs/policy.md, so that no page can say something else.
 * Read next: adapters/system/policy_file.c, jumping/policy.h.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include <jumping/policy.h>

#include "jumpctl.h"
#include "system/policy_file.h"

static int read_one(struct jump_policy_draft *draft, char path[4096], const char *name, const char *folder)
{
    struct jump_problem problem;
    int result;

    if (!jump_policy_file_find(path, 4096, &problem, name, folder)) {
        (void)jumpctl_error("%s", problem.text);
        return JUMP_ERR_ARGUMENT;
    }
    result = jump_policy_file_read(draft, &problem, path);
    if (result == JUMP_ERR_ARGUMENT)
        (void)jumpctl_error("%s", problem.text);
    return result;
}

static void print_findings(const struct jump_policy_draft *draft, const char *path)
{
    char line[JUMP_POLICY_FILE_LINE_BYTES];

    for (unsigned i = 0; i < draft->error_count && i < JUMP_POLICY_MAX_ERRORS; i++) {
        jump_policy_file_describe(line, path, &draft->errors[i]);
        printf("%s\n", line);
    }
    if (draft->error_count > JUMP_POLICY_MAX_ERRORS)
        printf("%s: %u more findings\n", path, draft->error_count - JUMP_POLICY_MAX_ERRORS);
}

int jumpctl_policy_check(int argc, char **argv)
{
    static const struct option options[] = {{"folder", required_argument, NULL, 'f'}, {0}};
    struct jump_policy_draft draft;
    const char *folder = NULL;
    char path[4096];
    int option, worst = JUMPCTL_GOOD;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'f')
            return jumpctl_usage("policy check", "unknown or incomplete option");
        folder = optarg;
    }
    if (optind == argc)
        return jumpctl_usage("policy check", "give a file, or the name of a profile");
    for (int i = optind; i < argc; i++) {
        int result = read_one(&draft, path, argv[i], folder);

        if (result == JUMP_ERR_ARGUMENT)
            worst = JUMPCTL_USAGE;
        else if (result != 0) {
            print_findings(&draft, path);
            worst = worst == JUMPCTL_GOOD ? JUMPCTL_FOUND : worst;
        } else
            printf("%s: valid, version %u.%u\n", path, draft.policy.version_major, draft.policy.version_minor);
    }
    return worst;
}

/* A value as it would stand in a file. */
static const char *value_text(char out[32], enum jump_policy_key key, const struct jump_policy *policy)
{
    uint32_t value = jump_policy_value(policy, key);
    bool udp = (value & JUMP_PROTO_BIT(JUMP_PROTO_UDP)) != 0, tcp = (value & JUMP_PROTO_BIT(JUMP_PROTO_TCP)) != 0;
    size_t len;

    switch (jump_policy_rows[key].type) {
    case JUMP_POLICY_RATIO:
        len = (size_t)snprintf(out, 32, "%" PRIu32 ".%06" PRIu32, value / JUMP_PPM, value % JUMP_PPM);
        while (len > 3 && out[len - 1] == '0' && out[len - 2] != '.')
            out[--len] = '\0';
        break;
    case JUMP_POLICY_PROTOCOLS:
        (void)snprintf(out, 32, "%s%s%s", udp ? "udp" : "", udp && tcp ? ", " : "", tcp ? "tcp" : "");
        break;
    case JUMP_POLICY_MS:
    case JUMP_POLICY_COUNT:
    case JUMP_POLICY_POINTS:
    case JUMP_POLICY_POWER2:
        (void)snprintf(out, 32, "%" PRIu32, value);
        break;
    }
    return out;
}

static void show_text(const struct jump_policy_draft *draft, const char *path)
{
    const char *section = "";
    char text[32];

    printf("; %s, with every key\nversion = %u.%u\n", path, draft->policy.version_major, draft->policy.version_minor);
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++) {
        const struct jump_policy_row *row = &jump_policy_rows[key];

        if (strcmp(section, row->section) != 0)
            printf("\n[%s]\n", row->section);
        section = row->section;
        printf("; %s\n%s = %s%s\n", row->help, row->key, value_text(text, (enum jump_policy_key)key, &draft->policy),
               draft->line[key] == 0 ? "    ; the default" : "");
    }
}

/* The row's range in the checker's own words: what it says to a value that no row takes. */
static void range_ask(char out[JUMP_POLICY_TEXT_BYTES], const struct jump_policy_row *row)
{
    struct jump_policy_draft draft;

    jump_policy_begin(&draft);
    jump_policy_take(&draft, row->section, row->key, "?", 1);
    (void)snprintf(out, JUMP_POLICY_TEXT_BYTES, "%s", draft.errors[0].range);
}

/* The table of docs/policy.md: all of it comes from the rows and the three profiles. */
static int show_markdown(const char *folder)
{
    static const char *const profiles[] = {"strict", "mobile", "laptop"};
    static struct jump_policy_draft drafts[3];
    char path[4096], range[JUMP_POLICY_TEXT_BYTES], text[32];

    for (size_t i = 0; i < 3; i++) {
        int result = read_one(&drafts[i], path, profiles[i], folder);

        if (result == JUMP_ERR_POLICY)
            print_findings(&drafts[i], path);
        if (result != 0)
            return result == JUMP_ERR_POLICY ? JUMPCTL_FOUND : JUMPCTL_USAGE;
    }
    printf("| key | must be present | allowed | strict | mobile (default) | laptop | what it does |\n"
           "|---|---|---|---|---|---|---|\n");
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++) {
        const struct jump_policy_row *row = &jump_policy_rows[key];

        range_ask(range, row);
        printf("| %s.%s | %s | %s |", row->section, row->key, row->required ? "yes" : "", range);
        for (size_t i = 0; i < 3; i++)
            printf(" %s |", value_text(text, (enum jump_policy_key)key, &drafts[i].policy));
        printf(" %s |\n", row->help);
    }
    return JUMPCTL_GOOD;
}

int jumpctl_policy_show(int argc, char **argv)
{
    static const struct option options[] = {{"folder", required_argument, NULL, 'f'}, {"markdown", no_argument, NULL, 'm'}, {0}};
    static struct jump_policy_draft draft;
    const char *folder = NULL, *name;
    bool markdown = false;
    char path[4096];
    int option, result;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'f')
            folder = optarg;
        else if (option == 'm')
            markdown = true;
        else
            return jumpctl_usage("policy show", "unknown or incomplete option");
    }
    if (argc - optind > 1 || (markdown && optind < argc))
        return jumpctl_usage("policy show", "too many arguments");
    if (markdown)
        return show_markdown(folder);
    name = optind < argc ? argv[optind] : "mobile";
    result = read_one(&draft, path, name, folder);
    if (result == JUMP_ERR_POLICY) {
        print_findings(&draft, path);
        return JUMPCTL_FOUND;
    }
    if (result != 0)
        return JUMPCTL_USAGE;
    show_text(&draft, path);
    return JUMPCTL_GOOD;
}
