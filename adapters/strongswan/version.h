/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which strongSwan the process is. Nothing that libcharon or libstrongswan export says it, and the structures differ between
 * versions: a call through a pointer at a wrong offset must never be the way to find out. Knows no header of strongSwan.
 */
#ifndef JUMP_STRONGSWAN_VERSION_H
#define JUMP_STRONGSWAN_VERSION_H

#include <stdbool.h>
#include <stddef.h>

enum { JUMP_SWAN_VERSION_BYTES = 16 };

/**
 * The first string in memory that is a version and nothing else: three decimal numbers with dots between, up to its NUL.
 *
 * @param version  out: the string, with its NUL; "" if there is none
 * @return whether there is one
 */
bool jump_swan_version_find(char version[JUMP_SWAN_VERSION_BYTES], const unsigned char *bytes, size_t count);

/**
 * The version that the running program was built as, from its own constants: charon and charon-systemd both print it.
 *
 * @param version  out, as above
 * @return whether the program holds one
 */
bool jump_swan_version_running(char version[JUMP_SWAN_VERSION_BYTES]);

#endif
