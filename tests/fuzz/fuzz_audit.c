/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target audit: an audit file as an operator's program reads it (tools/jumpctl: verify, replay, plot).
 *
 * What an attacker gains here: who could write to the log, or whose name stands in it, would hide what he did, stop the program
 * that looks for it, or speak to the operator's terminal and to the browser that shows the picture.
 *
 * Asserted: a well-made log is found good and a log with one edit (a byte, a cut, a line removed, doubled or moved) is not (A29);
 * nothing that is printed has a control character in it but the ends of lines, in UTF-8 or not; the picture is an SVG whose
 * markup is its own; exit codes are those that are documented.
 *
 * Input: 0 and a file as it is; or 1 and the contents of lines, which the harness numbers and chains; or 2, what is edited (how, and
 * three bytes of where; then a few more edits that follow from these), and the same.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The program's own file for its errors and help, with everything but its main. */
int jumpctl_main(int argc, char **argv);
#define main jumpctl_main
#include "main.c"
#undef main

#include "fuzz.h"
#include "scratch.h"
#include "system/state.h"

#define LOG_BYTES 65536
#define LINES 64
#define EDITS 6u

static const uint8_t key[JUMP_CHAIN_KEY_BYTES] = { 7 };
static struct scratch scratch;
static char key_path[256];
static char text[LOG_BYTES], edited[2 * LOG_BYTES];
static size_t text_len, ends[LINES], lines; /* of each line, behind its newline */
static int log_fd, picture_fd;

/* Of commands that are not under test here: main.c names them. */
int jumpctl_sessions(int argc, char **argv)
{
    (void)argc, (void)argv;
    return 0;
}

int jumpctl_terminate(int argc, char **argv)
{
    return jumpctl_sessions(argc, argv);
}

int jumpctl_stats(int argc, char **argv)
{
    return jumpctl_sessions(argc, argv);
}

int jumpctl_policy_check(int argc, char **argv)
{
    return jumpctl_sessions(argc, argv);
}

int jumpctl_policy_show(int argc, char **argv)
{
    return jumpctl_sessions(argc, argv);
}

static void end(void)
{
    scratch_close(&scratch);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    scratch_open(&scratch);
    (void)snprintf(key_path, sizeof key_path, "%s", scratch_path(&scratch, "a.audit.key"));
    scratch_write(key_path, key, sizeof key);
    log_fd = memfd_create("log", MFD_CLOEXEC);
    picture_fd = memfd_create("picture", MFD_CLOEXEC);
    FUZZ_MUST(log_fd >= 0 && picture_fd >= 0);
    (void)atexit(end);
    return 0;
}

static void printable(const char *from, size_t len)
{
    size_t bytes;
    for (size_t i = 0; i < len; i += bytes) { /* `from` ends with a NUL */
        unsigned char c = (unsigned char)from[i];
        bytes = jump_text_character(from + i);
        FUZZ_MUST((c >= 0x20 && c != 0x7f) || c == '\n');
        FUZZ_MUST(c != 0xc2 || (unsigned char)from[i + 1] >= 0xa0); /* U+0080 to U+009F */
        FUZZ_MUST(bytes > 0);
    }
}

static void put_file(int fd, const char *from, size_t len)
{
    FUZZ_MUST(ftruncate(fd, 0) == 0 && pwrite(fd, from, len, 0) == (ssize_t)len);
}

/* Runs one command as main would; what it prints is judged. */
static int run_one(int (*command)(int, char **), char **argv)
{
    FILE *out = stdout, *err = stderr;
    char *said[2] = { NULL, NULL };
    size_t said_len[2];
    int argc = 0, result;
    while (argv[argc] != NULL)
        argc++;
    stdout = open_memstream(&said[0], &said_len[0]);
    stderr = open_memstream(&said[1], &said_len[1]);
    optind = 0;
    result = command(argc, argv);
    (void)fclose(stdout);
    (void)fclose(stderr);
    stdout = out;
    stderr = err;
    FUZZ_MUST(result == JUMPCTL_GOOD || result == JUMPCTL_FOUND || result == JUMPCTL_USAGE);
    for (unsigned i = 0; i < 2; i++) {
        printable(said[i], said_len[i]);
        free(said[i]);
    }
    return result;
}

static void picture_is_ours(void)
{
    static char svg[4 * LOG_BYTES + 1];
    ssize_t len = pread(picture_fd, svg, sizeof svg - 1, 0);
    long depth = 0;
    FUZZ_MUST(len > 0);
    FUZZ_MUST(len < (ssize_t)sizeof svg - 1); /* else only a piece of it would be judged */
    svg[len] = '\0';
    printable(svg, (size_t)len);
    for (ssize_t i = 0; i < len; i++) { /* text that brought its own brackets or quotes would not nest */
        depth += svg[i] == '<' ? 1 : svg[i] == '>' ? -1 : 0;
        FUZZ_MUST(depth == 0 || depth == 1);
    }
    FUZZ_MUST(memmem(svg, (size_t)len, "<script", 7) == NULL && memmem(svg, (size_t)len, "<image", 6) == NULL);
    FUZZ_MUST(depth == 0 && len > 7 && memcmp(svg + len - 7, "</svg>\n", 7) == 0);
}

static int verify(const char *from, size_t len)
{
    char path[64];
    char *argv[] = { (char[]){ "verify" }, (char[]){ "--key" }, key_path, path, NULL };
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", log_fd);
    put_file(log_fd, from, len);
    int verdict = run_one(jumpctl_audit_verify, argv);
    FUZZ_MUST(verdict != JUMPCTL_USAGE);
    return verdict;
}

static int look(const char *from, size_t len)
{
    char path[64], out[64];
    char *replay[] = { (char[]){ "replay" }, path, NULL };
    char *plot[] = { (char[]){ "plot" }, (char[]){ "-o" }, out, path, NULL };
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", log_fd);
    (void)snprintf(out, sizeof out, "/proc/self/fd/%d", picture_fd);
    int verdict = verify(from, len);
    (void)run_one(jumpctl_audit_replay, replay);
    if (run_one(jumpctl_audit_plot, plot) == JUMPCTL_GOOD)
        picture_is_ours();
    return verdict;
}

static void put_head(const struct jump_audit_head *head)
{
    char hex[2 * JUMP_CHAIN_BYTES + 1], line[256];
    for (unsigned i = 0; i < JUMP_CHAIN_BYTES; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", head->link[i]);
    int len = snprintf(line, sizeof line, "jumping-audit-head 1 %020llu %s %020llu\n", (unsigned long long)head->seq, hex,
                       (unsigned long long)head->lost);
    scratch_write(scratch_path(&scratch, "a.audit.head"), line, (size_t)len);
}

static bool is_object(const char *line, size_t len, bool *begins)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *object, *event = NULL;
    bool good;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    object = json_tokener_parse_ex(tokener, line, (int)len);
    good = json_object_is_type(object, json_type_object) && json_tokener_get_parse_end(tokener) == len;
    *begins = good && json_object_object_get_ex(object, "event", &event) && json_object_is_type(event, json_type_string) &&
              strcmp(json_object_get_string(event), "audit_begin") == 0;
    (void)json_object_put(object);
    json_tokener_free(tokener);
    return good;
}

/* Numbers and chains what each line says. @return true: verify must find it good */
static bool chain(struct fuzz_bytes *in)
{
    struct jump_audit_head head = { .seq = 0 };
    bool good = true, begins;
    text_len = lines = 0;
    while (fuzz_left(in) > 0 && lines < LINES) {
        const uint8_t *newline = memchr(in->at, '\n', fuzz_left(in));
        size_t len, at = text_len;
        const uint8_t *content = fuzz_take(in, &len, newline == NULL ? fuzz_left(in) : (size_t)(newline - in->at));
        (void)fuzz_u8(in);
        if (text_len + len + 200 > sizeof text)
            break;
        text_len += (size_t)snprintf(text + at, 32, "{\"seq\":%llu,\"prev\":\"", (unsigned long long)head.seq + 1);
        for (unsigned i = 0; i < JUMP_CHAIN_BYTES; i++)
            text_len += (size_t)snprintf(text + text_len, 3, "%02x", head.link[i]);
        text_len += (size_t)snprintf(text + text_len, 3, "\",");
        memcpy(text + text_len, content, len);
        text_len += len;
        good = is_object(text + at, text_len - at, &begins) && good && (begins || head.seq > 0); /* a file says that it begins */
        head.seq++;
        jump_audit_link(head.link, key, text + at, text_len - at);
        text[text_len++] = '\n';
        ends[lines++] = text_len;
    }
    put_head(&head);
    return good;
}

static size_t start_of(size_t line)
{
    return line == 0 ? 0 : ends[line - 1];
}

/* @return the length of the edited log, which differs from the log */
static size_t edit(const uint8_t how[4])
{
    size_t line = how[1] % lines, at = start_of(line), len = ends[line] - at, next = (line + 1) % lines;
    memcpy(edited, text, text_len);
    switch (how[0] % 5) {
    case 0: { /* one byte */
        size_t place = (how[1] | (size_t)how[2] << 8) % text_len;
        edited[place] = (char)(edited[place] ^ (how[3] | (how[3] == 0)));
        return text_len;
    }
    case 1: /* the end is cut off: a piece of a line, too */
        return text_len - 1 - (how[1] | (size_t)how[2] << 8) % text_len;
    case 2: /* without this line */
        memmove(edited + at, edited + ends[line], text_len - ends[line]);
        return text_len - len;
    case 3: /* this line twice */
        memmove(edited + ends[line], text + at, text_len - at);
        return text_len + len;
    default: /* this line and the next change places; the last one is put first */
        if (next == 0) {
            memcpy(edited, text + at, len);
            memcpy(edited + len, text, at);
            return lines > 1 ? text_len : text_len - 1;
        }
        memcpy(edited + at, text + at + len, ends[next] - ends[line]);
        memcpy(edited + at + ends[next] - ends[line], text + at, len);
        return text_len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes in = fuzz_bytes(data, size);
    uint8_t what = fuzz_u8(&in) % 3, how[4] = { 0, 0, 0, 0 };
    if (what == 0) {
        const struct jump_audit_head none = { .seq = 0 };
        put_head(&none);
        (void)look((const char *)in.at, fuzz_left(&in));
        return 0;
    }
    for (unsigned i = 0; what == 2 && i < 4; i++)
        how[i] = fuzz_u8(&in);
    bool good = chain(&in);
    if (what == 1 || lines == 0) {
        FUZZ_MUST((look(text, text_len) == JUMPCTL_GOOD) == good);
        return 0;
    }
    for (uint32_t i = 0, where = how[1] | how[2] << 8 | (uint32_t)how[3] << 16; i < EDITS; i++) {
        size_t len = edit(how);
        FUZZ_MUST((i == 0 ? look(edited, len) : verify(edited, len)) == JUMPCTL_FOUND);
        where = where * 1664525u + 1013904223u;
        how[1] = (uint8_t)(where >> 8);
        how[2] = (uint8_t)(where >> 16);
        how[3] = (uint8_t)(where >> 24);
    }
    return 0;
}
