/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Answers and wakes TCP connections inside kernel ESP. For reject.c alone, whose rules log to JUMP_SWAN_LOG_GROUP. Read next: kick.c.
 */
#ifndef JUMP_STRONGSWAN_KICK_H
#define JUMP_STRONGSWAN_KICK_H

#define JUMP_SWAN_LOG_GROUP 50961 /* of NFLOG; the number of our notify */

/** Begin and end as reject.c's. */
void jump_swan_kick_begin(void);
void jump_swan_kick_end(void);
/** What was answered lately is told so again, until it tries at once, in the bounds of kick.c. Any thread. */
void jump_swan_kick(void);

#endif
