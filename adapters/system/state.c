/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state folder of one instance: keys, boot counter, audit head, lock. It owns these files and the copies of
 * the keys in memory; it refuses to know sessions and what the keys are for.
 * Read next: state.h, file.c, audit_file.c.
 */
#include "system/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/file.h"

#define NAME_BYTES 32
#define FILE_NAME_BYTES (NAME_BYTES + 16)
#define LABEL_BYTES 512
#define HEAD_WORD "jumping-audit-head 1"
#define HEAD_BYTES (sizeof HEAD_WORD - 1 + 1 + 20 + 1 + 2 * JUMP_CHAIN_BYTES + 1 + 20 + 1)

struct jump_state_folder {
    char path[LABEL_BYTES - FILE_NAME_BYTES];
    char name[NAME_BYTES];
    int folder_fd, lock_fd, head_fd;
    int boot_fd; /* of the boot counter, once it was given; -1 */
    uint64_t boot;
    uint8_t instance_key[JUMP_SECRET_BYTES];
    uint8_t audit_key[JUMP_CHAIN_KEY_BYTES];
    struct jump_audit_head head;
};

/* The name of one of the instance's files and its full path, for messages. */
struct place {
    char name[FILE_NAME_BYTES];
    char label[LABEL_BYTES];
};

static struct place place_of(const char *folder, const char *instance, const char *what)
{
    struct place place;

    (void)snprintf(place.name, sizeof place.name, "%s.%s", instance, what);
    (void)snprintf(place.label, sizeof place.label, "%s/%s", folder, place.name);
    return place;
}

bool jump_state_name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < NAME_BYTES && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

/* Read a key of 32 bytes. 1: read; 0: not there; -1: *problem. */
static int key_read(uint8_t key[32], struct jump_problem *problem, int at, const struct place *place)
{
    uint8_t bytes[32];
    ssize_t got = jump_file_read(bytes, sizeof bytes, problem, at, place->name, place->label);
    int result = -1;

    if (got == (ssize_t)sizeof bytes) {
        memcpy(key, bytes, sizeof bytes);
        result = 1;
    } else if (got < 0 && errno == ENOENT)
        result = 0;
    else if (got >= 0 || errno == EFBIG)
        jump_problem_set(problem, "%s is damaged: it must have 32 bytes (put a copy back, or remove it to begin anew)",
                         place->label);
    sodium_memzero(bytes, sizeof bytes);
    return result;
}

static bool key_open(uint8_t key[32], bool *made, struct jump_problem *problem, int at, const struct place *place)
{
    int found = key_read(key, problem, at, place);

    *made = found == 0;
    if (found != 0)
        return found > 0;
    randombytes_buf(key, 32);
    return jump_file_replace(problem, at, place->name, place->label, key, 32);
}

static void head_format(char out[HEAD_BYTES + 1], const struct jump_audit_head *head)
{
    char hex[2 * JUMP_CHAIN_BYTES + 1];

    (void)sodium_bin2hex(hex, sizeof hex, head->link, sizeof head->link);
    /* Fixed width: every head overwrites the whole of the one before it, in one small write. */
    (void)snprintf(out, HEAD_BYTES + 1, HEAD_WORD " %020" PRIu64 " %s %020" PRIu64 "\n", head->seq, hex, head->lost);
}

static bool head_parse(struct jump_audit_head *head, const char *text, size_t len)
{
    char again[HEAD_BYTES + 1];
    char hex[2 * JUMP_CHAIN_BYTES + 1];
    size_t got;

    memset(head, 0, sizeof *head);
    if (len != HEAD_BYTES)
        return false;
    memcpy(again, text, len);
    again[len] = '\0';
    /* NOLINTNEXTLINE(cert-err34-c): what it reads is written again below and must be the same text */
    if (sscanf(again, HEAD_WORD " %20" SCNu64 " %64[0-9a-f] %20" SCNu64, &head->seq, hex, &head->lost) != 3 ||
        sodium_hex2bin(head->link, sizeof head->link, hex, strlen(hex), NULL, &got, NULL) != 0 ||
        got != sizeof head->link)
        return false;
    head_format(again, head);
    return memcmp(again, text, len) == 0;
}

/* 1: read; 0: not there; -1: *problem. */
static int head_read(struct jump_audit_head *head, struct jump_problem *problem, int at, const struct place *place)
{
    uint8_t bytes[HEAD_BYTES];
    ssize_t got = jump_file_read(bytes, sizeof bytes, problem, at, place->name, place->label);

    if (got < 0 && errno == ENOENT)
        return 0;
    if (got >= 0 && head_parse(head, (const char *)bytes, (size_t)got))
        return 1;
    if (got >= 0 || errno == EFBIG)
        jump_problem_set(problem, "%s is damaged (put a copy back, or remove it to begin a new audit chain)",
                         place->label);
    return -1;
}

static bool head_open(struct jump_state_folder *state, bool begin, struct jump_problem *problem)
{
    struct place place = place_of(state->path, state->name, "audit.head");
    char text[HEAD_BYTES + 1];
    int found = begin ? 0 : head_read(&state->head, problem, state->folder_fd, &place);

    if (found < 0)
        return false;
    if (found == 0) {
        memset(&state->head, 0, sizeof state->head);
        head_format(text, &state->head);
        if (!jump_file_replace(problem, state->folder_fd, place.name, place.label, (const uint8_t *)text, HEAD_BYTES))
            return false;
    }
    state->head_fd = openat(state->folder_fd, place.name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (state->head_fd < 0)
        jump_problem_set(problem, "cannot open %s for writing: %s", place.label, strerror(errno));
    return state->head_fd >= 0;
}

static bool folder_open(struct jump_state_folder *state, struct jump_problem *problem)
{
    struct place lock = place_of(state->path, state->name, "lock");
    struct stat status;

    state->folder_fd = jump_file_folder(problem, state->path, 0700);
    if (state->folder_fd < 0)
        return false;
    if (fstat(state->folder_fd, &status) != 0 || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
        (status.st_uid != geteuid() && status.st_uid != 0)) {
        jump_problem_set(problem, "the state folder %s may be written by others than its owner: chmod 0700 it",
                         state->path);
        return false;
    }
    state->lock_fd = openat(state->folder_fd, lock.name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state->lock_fd < 0) {
        jump_problem_set(problem, "cannot write to the state folder: %s: %s", lock.label, strerror(errno));
        return false;
    }
    /* flock, not fcntl: it goes with the open file, and so over the fork of a host that becomes a daemon. */
    if (flock(state->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        jump_problem_set(problem, "another running process has the name \"%s\" in %s: give this one another name",
                         state->name, state->path);
        return false;
    }
    return true;
}

struct jump_state_folder *jump_state_open(struct jump_problem *problem, const char *path, const char *name)
{
    struct jump_state_folder *state;
    struct place key, audit;
    bool made, audit_made;

    if (!jump_state_name_valid(name)) {
        jump_problem_set(problem, "\"%s\" cannot be an instance's name: 1 to %d of A-Z a-z 0-9 . _ -, no dot first",
                         name, NAME_BYTES - 1);
        return NULL;
    }
    if (strlen(path) >= sizeof state->path) {
        jump_problem_set(problem, "the state folder's path is longer than %zu bytes: %s", sizeof state->path - 1, path);
        return NULL;
    }
    if (sodium_init() < 0 || (state = sodium_malloc(sizeof *state)) == NULL) {
        jump_problem_set(problem, "cannot open the state folder %s: no memory or no randomness", path);
        return NULL;
    }
    memset(state, 0, sizeof *state);
    state->folder_fd = state->lock_fd = state->head_fd = state->boot_fd = -1;
    (void)snprintf(state->path, sizeof state->path, "%s", path);
    (void)snprintf(state->name, sizeof state->name, "%s", name);
    key = place_of(path, name, "key");
    audit = place_of(path, name, "audit.key");
    if (folder_open(state, problem) && key_open(state->instance_key, &made, problem, state->folder_fd, &key) &&
        key_open(state->audit_key, &audit_made, problem, state->folder_fd, &audit) &&
        /* A new key can continue no chain. */
        head_open(state, audit_made, problem))
        return state;
    jump_state_close(state);
    return NULL;
}

bool jump_state_relock(struct jump_state_folder *state)
{
    return sodium_mlock(state, sizeof *state) == 0;
}

void jump_state_close(struct jump_state_folder *state)
{
    if (state == NULL)
        return;
    if (state->boot_fd >= 0)
        (void)close(state->boot_fd);
    if (state->head_fd >= 0)
        (void)close(state->head_fd);
    if (state->lock_fd >= 0)
        (void)close(state->lock_fd);
    if (state->folder_fd >= 0)
        (void)close(state->folder_fd);
    sodium_free(state); /* wipes */
}

const uint8_t *jump_state_instance_key(const struct jump_state_folder *state)
{
    return state->instance_key;
}

const uint8_t *jump_state_audit_key(const struct jump_state_folder *state)
{
    return state->audit_key;
}

/*
 * A second start in the same process (SIGHUP). The folder may be closed to it by now, so the open file is written in
 * place: the number only grows, so it covers the whole of the one before it.
 */
static bool boot_again(struct jump_state_folder *state, const char *text, size_t len)
{
    return jump_file_write_quiet(state->boot_fd, text, len, 0) == (ssize_t)len && fsync(state->boot_fd) == 0;
}

/* As far as this process counted before; else the file's number, 0 if there is none. False: *problem. */
static bool boot_last(uint64_t *last, const struct jump_state_folder *state, const struct place *place,
                      struct jump_problem *problem)
{
    char text[24] = "";
    char *end;
    ssize_t got;

    *last = state->boot;
    if (state->boot_fd >= 0)
        return true;
    got = jump_file_read((uint8_t *)text, sizeof text - 1, problem, state->folder_fd, place->name, place->label);
    if (got < 0)
        return errno == ENOENT;
    errno = 0;
    *last = strtoull(text, &end, 10);
    /* A guess could be a number that was given before: RESETs of an older boot would be believed. */
    if (text[0] < '0' || text[0] > '9' || errno != 0 || *end != '\n' || end + 1 != text + got) {
        jump_problem_set(problem,
                         "%s is damaged: it must hold the number of starts (put in one above all former ones)",
                         place->label);
        return false;
    }
    return true;
}

bool jump_state_boot_next(struct jump_state_folder *state, uint64_t *boot, struct jump_problem *problem)
{
    struct place place = place_of(state->path, state->name, "boot");
    char text[24];
    uint64_t last;
    int len;

    *boot = 0;
    if (!boot_last(&last, state, &place, problem))
        return false;
    if (last >= UINT32_MAX) {
        jump_problem_set(problem, "%s has counted %" PRIu64 " starts, the most there can be: remove it and %s/%s.key",
                         place.label, last, state->path, state->name);
        return false;
    }
    len = snprintf(text, sizeof text, "%" PRIu64 "\n", last + 1);
    if (state->boot_fd < 0) {
        if (!jump_file_replace(problem, state->folder_fd, place.name, place.label, (const uint8_t *)text, (size_t)len))
            return false;
        state->boot_fd = openat(state->folder_fd, place.name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    } else if (!boot_again(state, text, (size_t)len)) {
        jump_problem_set(problem, "cannot write %s: %s", place.label, strerror(errno));
        return false;
    }
    state->boot = last + 1;
    *boot = last + 1;
    return true;
}

void jump_state_audit_head(const struct jump_state_folder *state, struct jump_audit_head *head)
{
    *head = state->head;
}

bool jump_state_audit_head_set(struct jump_state_folder *state, const struct jump_audit_head *head)
{
    char text[HEAD_BYTES + 1];

    state->head = *head;
    head_format(text, head);
    return jump_file_write_quiet(state->head_fd, text, HEAD_BYTES, 0) == (ssize_t)HEAD_BYTES;
}

bool jump_state_audit_peek(uint8_t key[JUMP_CHAIN_KEY_BYTES], struct jump_audit_head *head,
                           struct jump_problem *problem, const char *path, const char *name)
{
    struct place key_place, head_place;
    int folder = -1;
    bool good = false;

    memset(head, 0, sizeof *head);
    if (!jump_state_name_valid(name)) {
        jump_problem_set(problem, "\"%s\" cannot be an instance's name", name);
        return false;
    }
    key_place = place_of(path, name, "audit.key");
    head_place = place_of(path, name, "audit.head");
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        jump_problem_set(problem, "cannot open the state folder %s: %s", path, strerror(errno));
    else
        /* "Not there" is a failure here: nothing can be verified without either. */
        good = key_read(key, problem, folder, &key_place) > 0 && head_read(head, problem, folder, &head_place) > 0;
    if (folder >= 0)
        (void)close(folder);
    if (!good)
        sodium_memzero(key, JUMP_CHAIN_KEY_BYTES);
    return good;
}
