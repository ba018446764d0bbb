/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target state: the files of the state folder after whatever has happened to them (adapters/system/state.c).
 *
 * What an attacker gains here: the folder is root's, so mostly a crash, a full disk or a restored backup. A boot number given
 * twice makes an old RESET count again; a damaged key taken for a key is one that others may know; a head taken for good
 * hides what was cut off the audit log.
 *
 * Asserted: files that are refused are left as they were, and said in one line; else the keys are those of the files, the boot
 * number is above the file's and above that of every start before, and a second opening finds the same, as does a verifier
 * that takes no lock; a head that is written is the head that is found.
 *
 * Input: which files there are (bits 0-3: key, audit.key, boot, audit.head), the lengths of the first three, their bytes; the rest
 * is the head.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "fuzz.h"
#include "scratch.h"
#include "system/state.h"

static const char *const names[4] = { "a.key", "a.audit.key", "a.boot", "a.audit.head" };
static struct scratch scratch;

static void end(void)
{
    scratch_close(&scratch);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    scratch_open(&scratch);
    (void)atexit(end);
    return 0;
}

static void one_line(const struct jump_problem *problem)
{
    FUZZ_MUST(problem->text[0] != '\0');
    for (const char *c = problem->text; *c != '\0'; c++)
        FUZZ_MUST((unsigned char)*c >= 0x20 && *c != 0x7f);
}

struct contents {
    bool there;
    const uint8_t *bytes;
    size_t len;
};

static void unchanged(const struct contents files[4])
{
    for (unsigned i = 0; i < 4; i++) {
        size_t len;
        char *text;
        if (!files[i].there)
            continue;
        text = scratch_read(scratch_path(&scratch, names[i]), &len);
        FUZZ_MUST(text != NULL && len == files[i].len && (len == 0 || memcmp(text, files[i].bytes, len) == 0));
        free(text);
    }
}

/* @return the boot number; 0: refused */
static uint64_t start(uint8_t keys[2][32], struct jump_audit_head *head)
{
    struct jump_problem problem = { "" };
    struct jump_state_folder *state = jump_state_open(&problem, scratch.folder, "a");
    uint64_t boot = 0, again;
    if (state == NULL) {
        one_line(&problem);
        return 0;
    }
    memcpy(keys[0], jump_state_instance_key(state), 32);
    memcpy(keys[1], jump_state_audit_key(state), 32);
    jump_state_audit_head(state, head);
    if (!jump_state_boot_next(state, &boot, &problem)) {
        FUZZ_MUST(boot == 0);
        one_line(&problem);
    } else if (jump_state_boot_next(state, &again, &problem)) {
        FUZZ_MUST(again == boot + 1);
        boot = again;
    }
    jump_state_close(state);
    return boot;
}

/* Without the lock, as jumpctl does. */
static void look_on(const uint8_t key[32], const struct jump_audit_head *head)
{
    struct jump_problem problem = { "" };
    struct jump_audit_head seen;
    uint8_t bytes[32];
    FUZZ_MUST(jump_state_audit_peek(bytes, &seen, &problem, scratch.folder, "a"));
    FUZZ_MUST(memcmp(bytes, key, sizeof bytes) == 0 && memcmp(&seen, head, sizeof seen) == 0);
}

static void write_head(const struct jump_audit_head *from)
{
    struct jump_problem problem = { "" };
    struct jump_audit_head head = *from, seen;
    struct jump_state_folder *state = jump_state_open(&problem, scratch.folder, "a");
    uint8_t key[32];
    FUZZ_MUST(state != NULL);
    head.seq++;
    head.lost = UINT64_MAX - head.lost;
    head.link[0] ^= 1;
    memcpy(key, jump_state_audit_key(state), sizeof key);
    FUZZ_MUST(jump_state_audit_head_set(state, &head));
    jump_state_audit_head(state, &seen);
    FUZZ_MUST(memcmp(&seen, &head, sizeof seen) == 0);
    jump_state_close(state);
    look_on(key, &head);
}

/* A head is read in the one form in which it is written. */
static void as_written(const struct contents *file, const struct jump_audit_head *head)
{
    char text[256], hex[2 * JUMP_CHAIN_BYTES + 1];
    (void)sodium_bin2hex(hex, sizeof hex, head->link, sizeof head->link);
    int len = snprintf(text, sizeof text, "jumping-audit-head 1 %020llu %s %020llu\n", (unsigned long long)head->seq, hex,
                       (unsigned long long)head->lost);
    FUZZ_MUST((size_t)len == file->len && memcmp(text, file->bytes, file->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes in = fuzz_bytes(data, size);
    uint8_t there = fuzz_u8(&in), lengths[3], keys[2][2][32];
    struct contents files[4];
    struct jump_audit_head heads[2];
    memset(keys, 0, sizeof keys);
    for (unsigned i = 0; i < 3; i++)
        lengths[i] = fuzz_u8(&in) % 64;
    for (unsigned i = 0; i < 4; i++) {
        files[i].there = there >> i & 1;
        files[i].bytes = fuzz_take(&in, &files[i].len, i < 3 ? lengths[i] : fuzz_left(&in));
        (void)remove(scratch_path(&scratch, names[i]));
        if (files[i].there)
            scratch_write(scratch_path(&scratch, names[i]), files[i].bytes, files[i].len);
    }
    uint64_t first = start(keys[0], &heads[0]);
    if (first == 0) {
        struct contents kept[4];
        memcpy(kept, files, sizeof kept);
        kept[3].there = files[3].there && files[1].there; /* without its key a chain begins anew, with a new head */
        unchanged(kept);
        return 0;
    }
    for (unsigned i = 0; i < 2; i++)
        FUZZ_MUST(!files[i].there || (files[i].len == 32 && memcmp(files[i].bytes, keys[0][i], 32) == 0));
    FUZZ_MUST(!files[2].there || files[2].len > 1);
    uint64_t last = 0;
    for (size_t i = 0; files[2].there && i + 1 < files[2].len; i++)
        last = last * 10 + (uint64_t)(files[2].bytes[i] - '0');
    FUZZ_MUST(first > last);
    if (files[1].there && files[3].there)
        as_written(&files[3], &heads[0]);
    look_on(keys[0][1], &heads[0]);
    uint64_t second = start(keys[1], &heads[1]);
    FUZZ_MUST(second == 0 || second > first);
    FUZZ_MUST(second == 0 || memcmp(keys[0], keys[1], sizeof keys[0]) == 0);
    FUZZ_MUST(second == 0 || memcmp(&heads[0], &heads[1], sizeof heads[0]) == 0);
    if (second != 0)
        write_head(&heads[1]);
    return 0;
}
