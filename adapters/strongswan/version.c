/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The version of the program that loaded us, read from its constants in memory: no file is opened (AppArmor would ask),
 * no symbol is needed. What strings without a version could mean is not guessed: the caller refuses.
 */
#include <link.h>
#include <string.h>

#include "version.h"

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* The length of "N.N.N" at the start of bytes, if a NUL follows; else 0. */
static size_t version_length(const unsigned char *bytes, size_t count)
{
    size_t at = 0;
    for (int part = 0; part < 3; part++) {
        if (part > 0) {
            if (at >= count || bytes[at] != '.')
                return 0;
            at++;
        }
        size_t first = at;
        while (at < count && is_digit(bytes[at]) && at < JUMP_SWAN_VERSION_BYTES)
            at++;
        if (at == first)
            return 0;
    }
    return at < count && bytes[at] == 0 && at < JUMP_SWAN_VERSION_BYTES ? at : 0;
}

bool jump_swan_version_find(char version[JUMP_SWAN_VERSION_BYTES], const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((i > 0 && bytes[i - 1] != 0) || !is_digit(bytes[i]))
            continue;
        size_t length = version_length(bytes + i, count - i);
        if (length > 0) {
            memcpy(version, bytes + i, length + 1);
            return true;
        }
    }
    version[0] = 0;
    return false;
}

/* The linker lists the program first: whatever comes after it is a library. */
static int in_program(struct dl_phdr_info *info, size_t size, void *version)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        /* what cannot be written; constants may share a part with the code (aarch64) */
        if (part->p_type != PT_LOAD || (part->p_flags & (PF_R | PF_W)) != PF_R)
            continue;
        if (jump_swan_version_find(version, (const unsigned char *)(info->dlpi_addr + part->p_vaddr), part->p_filesz))
            break;
    }
    return 1;
}

bool jump_swan_version_running(char version[JUMP_SWAN_VERSION_BYTES])
{
    version[0] = 0;
    (void)dl_iterate_phdr(in_program, version);
    return version[0] != 0;
}
