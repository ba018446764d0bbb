/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory that is not there: one line for it, however much is asked for. Only what this plugin asks for itself can be without:
 * libstrongswan does not look at what malloc gives it, and charon ends there with or without us. Read next: setup.c.
 */
#ifndef JUMP_STRONGSWAN_SHORTAGE_H
#define JUMP_STRONGSWAN_SHORTAGE_H

#define JUMP_SWAN_SHORTAGE_SAID_EVERY_MS 10000u

/** Say what comes of it, at most once in that time. Any thread, any lock. */
void jump_swan_shortage(const char *what);

#endif
