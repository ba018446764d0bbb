/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Arguments and facts (settings.h). OpenVPN tells a plugin nothing of its configuration at PRE_CONFIG_PARSE, so the
 * process's own command line names the file and it is read again here. The reader understands OpenVPN's words,
 * quotes, comments and inline files, and of the options only those that matter to us; what it does not know it skips.
 * A file it cannot read costs notes at start, nothing else. Read next: inject.c.
 */
#include "settings.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/state.h"

#define MAX_WORDS 16
#define MAX_FILE_BYTES (4u * 1024u * 1024u) /* inline certificates included */
#define MAX_INCLUDES 8

struct line {
    const char *words[MAX_WORDS + 1];
    size_t len;
};

static bool copy_text(char *out, size_t out_cap, const char *text)
{
    size_t len = strlen(text);

    if (len >= out_cap)
        return false;
    memcpy(out, text, len + 1);
    return true;
}

static bool take_level(enum jump_log_level *level, const char *value)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(value, names[i]) == 0) {
            *level = (enum jump_log_level)i;
            return true;
        }
    return false;
}

static bool take_argument(struct jump_settings_arguments *a, struct jump_problem *problem, unsigned *seen,
                          const char *argument)
{
    static const char keys[] = "policy, name, state_dir, run_dir, audit, log_level, max_sessions";
    static const char *const names[] = {"policy", "name", "state_dir", "run_dir", "audit", "log_level", "max_sessions"};
    const char *equals = strchr(argument, '='), *value;
    size_t key = 0;
    char *end;
    bool good;

    if (equals != NULL)
        while (key < sizeof names / sizeof names[0]
               && (strlen(names[key]) != (size_t)(equals - argument)
                   || strncmp(names[key], argument, (size_t)(equals - argument)) != 0))
            key++;
    if (equals == NULL || key == sizeof names / sizeof names[0]) {
        jump_problem_set(problem, "unknown argument '%s' (key=value with one of: %s)", argument, keys);
        return false;
    }
    if ((*seen & 1u << key) != 0) {
        jump_problem_set(problem, "argument '%s' is given twice", names[key]);
        return false;
    }
    *seen |= 1u << key;
    value = equals + 1;
    switch (key) {
    case 0: good = *value != '\0' && copy_text(a->policy, sizeof a->policy, value); break;
    case 1: good = jump_state_name_valid(value) && copy_text(a->name, sizeof a->name, value); break;
    case 2: good = value[0] == '/' && copy_text(a->state_dir, sizeof a->state_dir, value); break;
    case 3: good = value[0] == '/' && copy_text(a->run_dir, sizeof a->run_dir, value); break;
    case 4: good = value[0] == '/' && copy_text(a->audit, sizeof a->audit, value); break;
    case 5: good = take_level(&a->log_level, value); break;
    default: {
        unsigned long n = strtoul(value, &end, 10);

        good = value[0] >= '0' && value[0] <= '9' && *end == '\0' && n >= 1 && n <= 1000000;
        a->max_sessions = good ? (uint32_t)n : 0;
    }
    }
    if (!good) {
        static const char *const wanted[] = {"a profile or a path", "1 to 31 of A-Z a-z 0-9 . _ -, not a dot first",
                                             "an absolute path", "an absolute path", "an absolute path",
                                             "error, warning, info or debug", "1 .. 1000000"};

        jump_problem_set(problem, "%s: bad value '%s' (wanted: %s)", names[key], value, wanted[key]);
    }
    return good;
}

bool jump_settings_arguments_read(struct jump_settings_arguments *a, struct jump_problem *problem,
                                const char *const argv[])
{
    unsigned seen = 0;

    memset(a, 0, sizeof *a);
    a->log_level = JUMP_LOG_INFO;
    (void)copy_text(a->policy, sizeof a->policy, "mobile");
    (void)copy_text(a->state_dir, sizeof a->state_dir, "/var/lib/jumping");
    (void)copy_text(a->run_dir, sizeof a->run_dir, "/run/jumping");
    if (argv[0] != NULL && argv[1] != NULL && strcmp(argv[1], "client") == 0)
        a->role = JUMP_CLIENT;
    else if (argv[0] != NULL && argv[1] != NULL && strcmp(argv[1], "server") == 0)
        a->role = JUMP_SERVER;
    else {
        jump_problem_set(problem, "the first argument must be 'client' or 'server', not '%s'",
                         argv[0] != NULL && argv[1] != NULL ? argv[1] : "");
        return false;
    }
    for (size_t i = 2; argv[i] != NULL; i++)
        if (!take_argument(a, problem, &seen, argv[i]))
            return false;
    return true;
}

bool jump_settings_defaults(struct jump_settings_arguments *a, struct jump_problem *problem, const char *stem)
{
    if (a->name[0] == '\0')
        (void)copy_text(a->name, sizeof a->name, stem);
    if (!jump_state_name_valid(a->name)) {
        jump_problem_set(problem, "the configuration's name '%s' cannot name this instance: add name=... to the plugin line",
                         a->name);
        return false;
    }
    if (a->audit[0] == '\0')
        (void)snprintf(a->audit, sizeof a->audit, "/var/log/jumping/%s.jsonl", a->name);
    return true;
}

/* Facts */

static bool is(const struct line *line, const char *option, size_t words)
{
    return line->len >= words && strcmp(line->words[0], option) == 0;
}

static void take_proto(struct jump_settings_facts *facts, const char *proto)
{
    facts->explicit_proto = true;
    if (strncmp(proto, "tcp", 3) == 0)
        facts->tcp = true;
    else if (strncmp(proto, "udp", 3) == 0)
        facts->udp = true;
}

static void take_number(long *out, const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end != text && n >= 0)
        *out = n;
}

/* The first filter whose text an option begins with decides. */
static void take_filter(struct jump_settings_facts *facts, const char *verdict, const char *text)
{
    if (facts->timer_filtered || strncmp("ping-restart 0", text, strlen(text)) != 0)
        return;
    facts->timer_filtered = true;
    facts->filters_timer = strcmp(verdict, "accept") != 0;
}

static void include(struct jump_settings_facts *facts, const char *path, unsigned depth);

static bool is_number_address(const char *text)
{
    struct in6_addr address;

    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* NOLINTBEGIN(clang-analyzer-core.CallAndMessage): is() has counted the words that are read here, which the analyzer loses sight of */
/* NOLINTNEXTLINE(misc-no-recursion): `depth` bounds how far files include files */
static void take_line(struct jump_settings_facts *facts, const struct line *line, bool in_block, unsigned depth)
{
    if (is(line, "remote", 2) && !is_number_address(line->words[1]))
        facts->remote_name = true;
    if (is(line, "config", 2))
        include(facts, line->words[1], depth + 1);
    else if (is(line, "proto", 2) && in_block)
        take_proto(facts, line->words[1]);
    else if (is(line, "proto", 2))
        facts->proto_tcp = strncmp(line->words[1], "tcp", 3) == 0; /* the last one counts */
    else if (is(line, "remote", 4))
        take_proto(facts, line->words[3]);
    else if (is(line, "remote", 2) && !in_block)
        facts->inherits_proto = true;
    else if (is(line, "server", 3) || is(line, "server-bridge", 1)
             || (is(line, "mode", 2) && strcmp(line->words[1], "server") == 0))
        facts->server_mode = true;
    else if (is(line, "secret", 2))
        facts->static_key = true;
    else if (is(line, "management", 2))
        facts->management = true;
    else if (is(line, "multihome", 1))
        facts->multihome = true;
    else if (is(line, "disable-dco", 1))
        facts->dco_disabled = true;
    else if (is(line, "persist-key", 1))
        facts->persist_key = true;
    else if (is(line, "persist-tun", 1))
        facts->persist_tun = true;
    else if (is(line, "user", 2))
        facts->drops_privilege = true;
    else if (is(line, "chroot", 2))
        facts->chroot = true;
    else if (is(line, "lport", 2) || is(line, "local", 2) || is(line, "bind", 1) || is(line, "port", 2))
        facts->bound_socket = true;
    else if (is(line, "nobind", 1))
        facts->bound_socket = false;
    else if (is(line, "dev", 2)) {
        facts->tap = facts->tap || strncmp(line->words[1], "tap", 3) == 0;
        if (!copy_text(facts->dev, sizeof facts->dev, line->words[1]))
            facts->dev[0] = '\0';
    } else if (is(line, "keying-material-exporter", 2)) {
        if (strcmp(line->words[1], "EXPORTER-jumping") != 0)
            (void)copy_text(facts->exporter, sizeof facts->exporter, line->words[1]);
    } else if (is(line, "setenv", 3) && strcmp(line->words[1], "IV_SSO") == 0)
        (void)copy_text(facts->iv_sso, sizeof facts->iv_sso, line->words[2]);
    else if (is(line, "hand-window", 2))
        take_number(&facts->hand_window, line->words[1]);
    else if (is(line, "reneg-sec", 2))
        take_number(&facts->reneg_sec, line->words[1]);
    else if (is(line, "connect-timeout", 2) || is(line, "server-poll-timeout", 2)) {
        take_number(&facts->connect_timeout, line->words[1]);
        facts->block_connect_timeout = facts->block_connect_timeout || in_block;
    } else if (is(line, "rcvbuf", 2))
        facts->receive_buffer = true;
    else if (is(line, "keepalive", 3) || (is(line, "push", 2) && strncmp(line->words[1], "ping ", 5) == 0))
        facts->pings = true;
    else if (is(line, "max-clients", 2))
        take_number(&facts->max_clients, line->words[1]);
    else if (is(line, "tran-window", 2))
        take_number(&facts->tran_window, line->words[1]);
    else if (is(line, "ping-exit", 2))
        take_number(&facts->ping_exit, line->words[1]);
    else if (is(line, "client", 1) || is(line, "pull", 1) || is(line, "push-peer-info", 1))
        facts->pulls = true;
    else if (is(line, "auth-user-pass", 1))
        facts->user_pass = true;
    else if (is(line, "socks-proxy", 2))
        facts->socks_proxy = true;
    else if (is(line, "bind-dev", 2))
        facts->bind_dev = true;
    else if (is(line, "remap-usr1", 2))
        facts->restart_ends = strcmp(line->words[1], "SIGTERM") == 0;
    else if (is(line, "pull-filter", 3))
        take_filter(facts, line->words[1], line->words[2]);
    else if (is(line, "plugin", 2) && strstr(line->words[1], "openvpn-plugin-jumping") != NULL)
        facts->plugin_lines++;
}
/* NOLINTEND(clang-analyzer-core.CallAndMessage) */

/* One line into words, in place: blanks separate; ' and " group; \ escapes outside of '; # and ; begin a comment. */
static void split(struct line *line, char *text)
{
    char *out = text;

    line->len = 0;
    for (;;) {
        char quote = '\0';

        while (*text == ' ' || *text == '\t' || *text == '\r')
            text++;
        if (*text == '\0' || *text == '#' || *text == ';' || line->len == MAX_WORDS)
            return;
        line->words[line->len++] = out;
        for (; *text != '\0'; text++) {
            if (quote == '\0' && (*text == ' ' || *text == '\t' || *text == '\r'))
                break;
            if (*text == '\\' && quote != '\'' && text[1] != '\0')
                *out++ = *++text;
            else if (quote != '\0' ? *text == quote : *text == '"' || *text == '\'')
                quote = (char)(quote != '\0' ? '\0' : *text);
            else
                *out++ = *text;
        }
        if (*text != '\0')
            text++;
        *out++ = '\0';
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by `depth` */
static void take_file(struct jump_settings_facts *facts, const char *text, size_t text_len, unsigned depth)
{
    char line_text[1024], closing[64] = "";
    bool in_block = false, explicit_before = false;

    for (size_t at = 0; at < text_len;) {
        const char *end = memchr(text + at, '\n', text_len - at);
        size_t len = end == NULL ? text_len - at : (size_t)(end - (text + at));
        struct line line;
        size_t word_len;

        if (len < sizeof line_text) { /* OpenVPN refuses lines over 255; longer ones stand in inline files only */
            memcpy(line_text, text + at, len);
            line_text[len] = '\0';
            split(&line, line_text);
            word_len = line.len > 0 ? strlen(line.words[0]) : 0;
            if (closing[0] != '\0') {
                if (line.len > 0 && strcmp(line.words[0], closing) == 0)
                    closing[0] = '\0';
            } else if (line.len > 0 && strcmp(line.words[0], "<connection>") == 0) {
                facts->connection_blocks = in_block = true;
                explicit_before = facts->explicit_proto;
                facts->explicit_proto = false;
            } else if (line.len > 0 && strcmp(line.words[0], "</connection>") == 0) {
                in_block = false;
                facts->inherits_proto = facts->inherits_proto || !facts->explicit_proto;
                facts->explicit_proto = facts->explicit_proto || explicit_before;
            } else if (word_len > 2 && word_len < sizeof closing - 1 && line.words[0][0] == '<'
                       && line.words[0][word_len - 1] == '>') {
                (void)snprintf(closing, sizeof closing, "</%.*s", (int)(word_len - 1), line.words[0] + 1);
            } else if (line.len > 0) {
                /* OpenVPN takes "--option" in a file too. */
                if (strncmp(line.words[0], "--", 2) == 0)
                    line.words[0] += 2;
                take_line(facts, &line, in_block, depth);
            }
        }
        at += len + 1;
    }
    sodium_memzero(line_text, sizeof line_text);
}

static void wipe(char *text, size_t cap)
{
    if (text != NULL)
        sodium_memzero(text, cap); /* inline keys */
    free(text);
}

/* realloc would leave what it copied where it was. */
static char *grow(char *text, size_t len, size_t cap)
{
    char *more = cap < MAX_FILE_BYTES ? malloc(cap * 2) : NULL;

    if (more != NULL) {
        memcpy(more, text, len);
        wipe(text, cap);
    }
    return more;
}

static bool read_whole(char **out, size_t *out_len, size_t *out_cap, const char *path)
{
    size_t cap = 4096, len = 0;
    struct stat about;
    char *text;
    ssize_t n = -1;
    int fd;

    /* A FIFO gives its content once, to OpenVPN, and to be opened here would wake whoever writes it: asked first. */
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
        return false;
    text = malloc(cap);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd >= 0 && text != NULL && (n = read(fd, text + len, cap - len)) > 0) {
        len += (size_t)n;
        if (len == cap) {
            char *more = grow(text, len, cap);

            if (more == NULL) {
                n = -1;
                break;
            }
            text = more;
            cap *= 2;
        }
    }
    if (fd >= 0)
        close(fd);
    if (n != 0) {
        wipe(text, cap);
        return false;
    }
    text[len] = '\0'; /* len < cap always */
    *out = text;
    *out_len = len;
    *out_cap = cap;
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by `depth` */
static void include(struct jump_settings_facts *facts, const char *path, unsigned depth)
{
    char beside[512];
    char *text = NULL;
    size_t len = 0, cap = 0;

    if (facts->path[0] == '\0' && depth <= 1) {
        const char *name = strrchr(path, '/');
        size_t stem_len;

        (void)copy_text(facts->path, sizeof facts->path, path);
        name = name == NULL ? path : name + 1;
        stem_len = strlen(name);
        if (strrchr(name, '.') != NULL && strrchr(name, '.') != name)
            stem_len = (size_t)(strrchr(name, '.') - name);
        (void)snprintf(facts->stem, sizeof facts->stem, "%.*s", (int)stem_len, name);
    }
    if (depth > MAX_INCLUDES)
        return;
    if (!read_whole(&text, &len, &cap, path)) {
        /* The configuration may have changed the folder (`cd`) since OpenVPN opened the file. */
        const char *started_in = getenv("PWD");

        if (path[0] == '/' || started_in == NULL
            || (size_t)snprintf(beside, sizeof beside, "%s/%s", started_in, path) >= sizeof beside
            || !read_whole(&text, &len, &cap, beside)) {
            facts->unreadable = true;
            return;
        }
    }
    take_file(facts, text, len, depth);
    wipe(text, cap);
}

void jump_settings_facts_begin(struct jump_settings_facts *facts)
{
    memset(facts, 0, sizeof *facts);
    facts->hand_window = facts->reneg_sec = facts->connect_timeout = facts->max_clients = facts->ping_exit
        = facts->tran_window = -1;
}

void jump_settings_facts_take_file(struct jump_settings_facts *facts, const char *text, size_t text_len)
{
    take_file(facts, text, text_len, 1);
}

void jump_settings_facts_take_command(struct jump_settings_facts *facts, const char *words, size_t words_len)
{
    struct line line = {.len = 0};
    size_t at = 0;
    bool first = true;

    while (at < words_len) {
        const char *word = words + at;

        at += strnlen(word, words_len - at) + 1;
        if (first) { /* the program */
            first = false;
            continue;
        }
        if (strncmp(word, "--", 2) == 0) {
            if (line.len > 0)
                take_line(facts, &line, false, 0);
            line.words[0] = word + 2;
            line.len = 1;
        } else if (line.len == 0) {
            include(facts, word, 1); /* `openvpn FILE` */
        } else if (line.len < MAX_WORDS) {
            line.words[line.len++] = word;
        }
    }
    if (line.len > 0)
        take_line(facts, &line, false, 0);
}

void jump_settings_facts_finish(struct jump_settings_facts *facts)
{
    if (facts->inherits_proto || !facts->explicit_proto) {
        facts->tcp = facts->tcp || facts->proto_tcp;
        facts->udp = facts->udp || !facts->proto_tcp; /* OpenVPN's default */
    }
    if (facts->stem[0] == '\0')
        (void)copy_text(facts->stem, sizeof facts->stem, "openvpn");
}

void jump_settings_facts_read(struct jump_settings_facts *facts)
{
    char *words;
    size_t len, cap;

    jump_settings_facts_begin(facts);
    if (read_whole(&words, &len, &cap, "/proc/self/cmdline")) {
        jump_settings_facts_take_command(facts, words, len);
        wipe(words, cap);
    } else {
        facts->unreadable = true;
    }
    jump_settings_facts_finish(facts);
}
