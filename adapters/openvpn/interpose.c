/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Import slots of the executable (interpose.h). Debian builds openvpn as PIE with BIND_NOW and full RELRO, so every
 * slot is filled and its page read-only before main: the page is made writable for one store. Which pages were
 * read-only is PT_GNU_RELRO's to say. Nothing here is OpenVPN's: it reads the ELF tables of the running program.
 */
#include "interpose.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#define RELOCATION_JUMP_SLOT R_X86_64_JUMP_SLOT
#define RELOCATION_GLOB_DAT R_X86_64_GLOB_DAT
#elif defined(__aarch64__)
#define RELOCATION_JUMP_SLOT R_AARCH64_JUMP_SLOT
#define RELOCATION_GLOB_DAT R_AARCH64_GLOB_DAT
#else
#error "the OpenVPN plugin knows the import slots of x86_64 and aarch64 only"
#endif

struct image {
    uintptr_t base, relro, relro_end;
    const ElfW(Sym) *symbols;
    const char *names;
    const ElfW(Rela) *tables[2];
    size_t tables_len[2];
};

/* glibc has already added the base to these addresses; other C libraries have not. */
static const void *address(const struct image *image, uintptr_t value)
{
    return (const void *)(value < image->base ? image->base + value : value);
}

static int first_object(struct dl_phdr_info *info, size_t size, void *out)
{
    struct image *image = out;
    const ElfW(Dyn) *dynamic = NULL;

    (void)size;
    image->base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_DYNAMIC)
            dynamic = (const void *)(info->dlpi_addr + header->p_vaddr);
        if (header->p_type == PT_GNU_RELRO) {
            image->relro = info->dlpi_addr + header->p_vaddr;
            image->relro_end = image->relro + header->p_memsz;
        }
    }
    for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++)
        switch (dynamic->d_tag) {
        case DT_SYMTAB: image->symbols = address(image, dynamic->d_un.d_ptr); break;
        case DT_STRTAB: image->names = address(image, dynamic->d_un.d_ptr); break;
        case DT_JMPREL: image->tables[0] = address(image, dynamic->d_un.d_ptr); break;
        case DT_PLTRELSZ: image->tables_len[0] = dynamic->d_un.d_val / sizeof(ElfW(Rela)); break;
        case DT_RELA: image->tables[1] = address(image, dynamic->d_un.d_ptr); break;
        case DT_RELASZ: image->tables_len[1] = dynamic->d_un.d_val / sizeof(ElfW(Rela)); break;
        default: break;
        }
    return 1; /* the executable is the first object; no other is looked at */
}

static bool store(const struct image *image, void **slot, void *value)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *page = (void *)((uintptr_t)slot & ~(page_bytes - 1));
    /* The loader protects whole pages, and of a last part of one nothing (glibc, dl-reloc.c). */
    uintptr_t protected_end = image->relro_end & ~(page_bytes - 1);
    bool read_only = (uintptr_t)page >= (image->relro & ~(page_bytes - 1)) && (uintptr_t)page < protected_end;

    if (read_only && mprotect(page, page_bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    *slot = value;
    if (read_only)
        (void)mprotect(page, page_bytes, PROT_READ); /* failing leaves it as a program without RELRO has it */
    return true;
}

static void find_slots(const struct image *image, struct jump_interpose_call *call)
{
    call->slots_len = 0;
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; image->tables[t] != NULL && i < image->tables_len[t]; i++) {
            const ElfW(Rela) *entry = &image->tables[t][i];
            uint64_t type = ELF64_R_TYPE(entry->r_info);

            if ((type != RELOCATION_JUMP_SLOT && type != RELOCATION_GLOB_DAT)
                || strcmp(image->names + image->symbols[ELF64_R_SYM(entry->r_info)].st_name, call->symbol) != 0)
                continue;
            if (call->slots_len < JUMP_INTERPOSE_SLOTS)
                call->slots[call->slots_len++] = (void **)(image->base + entry->r_offset);
        }
}

bool jump_interpose_begin(struct jump_interpose_call *calls, size_t calls_len, struct jump_problem *problem)
{
    struct image image;

    memset(&image, 0, sizeof image);
    dl_iterate_phdr(first_object, &image);
    if (image.symbols == NULL || image.names == NULL) {
        jump_problem_set(problem, "the openvpn program has no dynamic symbols (is it linked statically?)");
        return false;
    }
    for (size_t i = 0; i < calls_len; i++) {
        find_slots(&image, &calls[i]);
        if (calls[i].slots_len == 0 && calls[i].optional)
            continue;
        if (calls[i].slots_len == 0) {
            jump_problem_set(problem, "the openvpn program does not import %s: this build cannot be interposed",
                             calls[i].symbol);
            return false;
        }
        /* Not what the slot holds: a lazily bound one holds a stub that would put the real address over ours. */
        calls[i].original = dlsym(RTLD_DEFAULT, calls[i].symbol);
        if (calls[i].original == NULL) {
            jump_problem_set(problem, "the C library has no %s", calls[i].symbol);
            return false;
        }
    }
    for (size_t i = 0; i < calls_len; i++)
        for (size_t s = 0; s < calls[i].slots_len; s++) {
            calls[i].held[s] = *calls[i].slots[s];
            if (!store(&image, calls[i].slots[s], calls[i].ours)) {
                jump_problem_set(problem, "cannot make the import slot of %s writable: %s", calls[i].symbol,
                                 strerror(errno));
                jump_interpose_end(calls, calls_len);
                return false;
            }
        }
    return true;
}

void jump_interpose_end(struct jump_interpose_call *calls, size_t calls_len)
{
    struct image image;

    memset(&image, 0, sizeof image);
    dl_iterate_phdr(first_object, &image);
    for (size_t i = 0; i < calls_len; i++)
        for (size_t s = 0; s < calls[i].slots_len; s++)
            if (*calls[i].slots[s] == calls[i].ours)
                (void)store(&image, calls[i].slots[s], calls[i].held[s]);
}
