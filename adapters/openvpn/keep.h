/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What outlives a SIGHUP in a process that has dropped its privileges or changed its root: OpenVPN closes the plugin
 * and opens it again, and by then the state folder, the audit file, the run folder and the management socket can no
 * longer be opened. So they are not closed. The object stays mapped (nodelete), so its variables do too.
 * A process that still has what it began with closes and opens everything, as another start would.
 * Threads: OpenVPN's main thread only. Read next: setup.c, docs/openvpn.md ("Privileges").
 */
#ifndef JUMP_OVPN_KEEP_H
#define JUMP_OVPN_KEEP_H

#include "adapter.h"

/** The process's first open: remember who it was. Later calls change nothing. */
void jump_keep_begin(void);

/** True: it has another user or another root than at its first open. */
bool jump_keep_dropped(void);

/**
 * Open again: hand over what was kept, if there is something and the plugin line still names the same instance and the
 * same places. What was kept for another line is closed.
 */
void jump_keep_take(struct jump_ovpn *ovpn);

/**
 * Close, of a process that has dropped its privileges: take state, audit, control socket and management connection out
 * of `ovpn`, with nothing in them that belongs to it. They are closed when the process exits, or by the next open.
 */
void jump_keep_put(struct jump_ovpn *ovpn, jump_time now);

#endif
