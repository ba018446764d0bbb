/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * jumpctl: what an operator types. Owns the list of subcommands with their help, and the way errors look; it
 * refuses to do anything itself. Read next: the file of the subcommand.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jumpctl.h"
#include "system/text.h"

struct command {
    const char *group, *name; /* name NULL: the group alone is the command */
    int (*run)(int argc, char **argv);
    const char *arguments, *summary, *help;
};

static const struct command commands[] = {
    {"sessions", NULL, jumpctl_sessions, "[--json] [--socket PATH]", "list the sessions of all instances on this machine",
     "  --json          one JSON object instead of a table\n"
     "  --socket PATH   ask this control socket only (default: every *.sock in " JUMPCTL_RUN_DIR ")\n"},
    {"terminate", NULL, jumpctl_terminate, "ID [--reason REASON] [--socket PATH]", "end one session",
     "  ID              the session's id, or its first digits (at least 8, as `jumpctl sessions` shows)\n"
     "  --reason REASON operator_terminated (default), or security_failure where a key may be known to others\n"
     "  --socket PATH   look there only (default: every *.sock in " JUMPCTL_RUN_DIR ")\n"},
    {"stats", NULL, jumpctl_stats, "[--socket PATH]", "print the counters of each instance as JSON",
     "  --socket PATH   ask this control socket only (default: every *.sock in " JUMPCTL_RUN_DIR ")\n"},
    {"policy", "check", jumpctl_policy_check, "[--folder DIR] FILE...", "check policy files: every finding with its line",
     "  FILE            a path, or the name of a profile (strict, mobile, laptop)\n"
     "  --folder DIR    where profiles are\n"
     "\nExit code 1: a file is invalid. 2: it cannot be read.\n"},
    {"policy", "show", jumpctl_policy_show, "[--folder DIR] [FILE | --markdown]", "print a policy with all its keys",
     "  FILE            a path, or the name of a profile (default: mobile)\n"
     "  --markdown      the table of all keys, ranges and profiles in docs/policy.md\n"
     "  --folder DIR    where profiles are\n"},
    {"audit", "verify", jumpctl_audit_verify, "[--state DIR] [--name NAME | --key KEYFILE] FILE...",
     "find lines that were changed, removed, moved or put in",
     "  FILE            the audit file; with rotated ones, all of them, the oldest first\n"
     "  --state DIR     the state folder that holds the chain's key and newest head (default: " JUMPCTL_STATE_DIR ")\n"
     "  --name NAME     the instance (default: from the last FILE's name, NAME.jsonl)\n"
     "  --key KEYFILE   the key itself; NAME.audit.head beside NAME.audit.key is used too\n"
     "\nExit code 1: something was found. 2: it could not look (no key, no file, no permission).\n"},
    {"audit", "replay", jumpctl_audit_replay, "FILE...", "take the recorded transitions through the table again",
     "  FILE            the audit file; with rotated ones, all of them, the oldest first\n"
     "\nExit code 1: a line does not come out of the table as it was recorded.\n"},
    {"audit", "plot", jumpctl_audit_plot, "FILE... -o OUT.svg [--session ID]", "draw states, bindings and gaps over time",
     "  FILE            the audit file; several are drawn in one picture (both sides of a session, rotated ones)\n"
     "  -o OUT.svg      where the picture goes (- for standard output)\n"
     "  --session ID    only sessions whose id begins so\n"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static const char *version = "jumpctl " PACKAGE_VERSION;

int jumpctl_error(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "jumpctl: %s\n", jumpctl_clean(text));
    return JUMPCTL_USAGE;
}

int jumpctl_usage(const char *command, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "jumpctl %s: %s (try: jumpctl %s --help)\n", command, jumpctl_clean(text), command);
    return JUMPCTL_USAGE;
}

const char *jumpctl_colour(FILE *to, char colour)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    if ((no != NULL && no[0] != '\0') || term == NULL || strcmp(term, "dumb") == 0 || isatty(fileno(to)) != 1)
        return "";
    switch (colour) {
    case 'r':
        return "\033[31m";
    case 'g':
        return "\033[32m";
    case 'y':
        return "\033[33m";
    case 'b':
        return "\033[1m";
    default:
        return "\033[0m";
    }
}

size_t jumpctl_showable(const char *at)
{
    const unsigned char *c = (const unsigned char *)at;

    /* U+0080 to U+009F too: U+009B begins an escape as ESC [ does. */
    if (c[0] < 0x20 || c[0] == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0))
        return 0;
    return jump_text_character(at);
}

char *jumpctl_clean(char *text)
{
    for (char *at = text; *at != '\0';) {
        size_t bytes = *at == '\n' ? 1 : jumpctl_showable(at);

        if (bytes == 0)
            *at = '?';
        at += bytes == 0 ? 1 : bytes;
    }
    return text;
}

static void print_help(FILE *to)
{
    fprintf(to, "usage: jumpctl COMMAND [ARGUMENTS]\n\nLooks after VPN sessions that survive changes of their network.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "%s%s%s", commands[i].group, commands[i].name != NULL ? " " : "",
                       commands[i].name != NULL ? commands[i].name : "");
        fprintf(to, "  %-14s  %s\n", name, commands[i].summary);
    }
    fprintf(to, "\njumpctl COMMAND --help explains one; jumpctl --version prints the version; see also jumpctl(1).\n");
}

static void print_command_help(const struct command *command)
{
    printf("usage: jumpctl %s%s%s %s\n\n%c%s.\n\n%s", command->group, command->name != NULL ? " " : "",
           command->name != NULL ? command->name : "", command->arguments, command->summary[0] - 'a' + 'A',
           command->summary + 1, command->help);
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static void print_group_help(FILE *to, const char *group)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(group, commands[i].group) == 0)
            fprintf(to, "usage: jumpctl %s %s %s\n", group, commands[i].name, commands[i].arguments);
}

static int run(int argc, char **argv)
{
    bool group_known = false;

    for (size_t i = 0; i < COMMANDS; i++) {
        const struct command *command = &commands[i];
        int skip = command->name == NULL ? 1 : 2;

        if (strcmp(argv[1], command->group) != 0)
            continue;
        group_known = true;
        if (command->name != NULL && (argc < 3 || strcmp(argv[2], command->name) != 0))
            continue;
        if (asks_help(argc - skip + 1, argv + skip - 1)) {
            print_command_help(command);
            return JUMPCTL_GOOD;
        }
        return command->run(argc - skip, argv + skip);
    }
    if (group_known && argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
        print_group_help(stdout, argv[1]);
        return JUMPCTL_GOOD;
    }
    if (group_known) {
        print_group_help(stderr, argv[1]);
        return JUMPCTL_USAGE;
    }
    fprintf(stderr, "jumpctl: no command \"%s\" (try: jumpctl --help)\n", jumpctl_clean(argv[1]));
    return JUMPCTL_USAGE;
}

int main(int argc, char **argv)
{
    int result;

    if (argc < 2) {
        print_help(stderr);
        return JUMPCTL_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return JUMPCTL_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s\n", version);
        return JUMPCTL_GOOD;
    }
    opterr = 0; /* jumpctl_usage says it better */
    result = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "jumpctl: the output could not be written\n");
        return JUMPCTL_USAGE;
    }
    return result;
}
