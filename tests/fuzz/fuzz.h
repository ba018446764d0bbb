/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What every fuzz target stands on: the entry that libFuzzer, AFL++ and replay.c call, an assertion that stops where it
 * broke, and a reader that takes an input apart and never runs out (behind the end are zeros). Read next: README.md.
 */
#ifndef JUMP_FUZZ_H
#define JUMP_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** One input. Returns 0; whatever is wrong aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** What a target prepares once; every driver calls it first where it is there. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

/** libFuzzer's own mutations; NULL where another driver runs the target. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define FUZZ_MUST(condition)                                                                     \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "fuzz: %s:%d: this must hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                             \
        }                                                                                        \
    } while (0)

/** For what a function says is broken: NULL is good. */
#define FUZZ_NOT_BROKEN(says)                                                             \
    do {                                                                                  \
        const char *broken_ = (says);                                                     \
        if (broken_ != NULL) {                                                            \
            fprintf(stderr, "fuzz: %s:%d: broken: %s\n", __FILE__, __LINE__, broken_);     \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

struct fuzz_bytes {
    const uint8_t *at, *end;
};

static inline struct fuzz_bytes fuzz_bytes(const uint8_t *data, size_t size)
{
    return (struct fuzz_bytes){ size ? data : NULL, size ? data + size : NULL };
}

static inline size_t fuzz_left(const struct fuzz_bytes *bytes)
{
    return (size_t)(bytes->end - bytes->at);
}

static inline uint8_t fuzz_u8(struct fuzz_bytes *bytes)
{
    return bytes->at < bytes->end ? *bytes->at++ : 0;
}

static inline uint64_t fuzz_number(struct fuzz_bytes *bytes, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | fuzz_u8(bytes);
    return value;
}

/** The next `most` bytes, or what is left of them. */
static inline const uint8_t *fuzz_take(struct fuzz_bytes *bytes, size_t *len, size_t most)
{
    const uint8_t *from = bytes->at;
    *len = fuzz_left(bytes) < most ? fuzz_left(bytes) : most;
    if (*len > 0)
        bytes->at += *len;
    return from;
}

#endif
