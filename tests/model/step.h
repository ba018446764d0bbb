/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What every model shares: the way into the core's own transition table, the names of broken promises, and a voice for
 * the trail. A model has no copy of the table that could drift. Read next: messages.c.
 */
#ifndef MODEL_STEP_H
#define MODEL_STEP_H

#include <stdbool.h>

#include <jumping/fsm.h>

/**
 * Take the row as step() in core/engine.c does. A row that the table does not have for this role, or a reason that is
 * not its own, breaks the promise ROW: the core would record invalid_transition.
 *
 * @param mode  the session's; becomes the row's next mode
 * @return 1: moved; 0: the row changes nothing
 */
int model_row(unsigned char *mode, enum jump_role role, enum jump_fsm_event event, enum jump_reason reason);

/** A promise that must hold here; the first one that does not is what the search reports. */
void model_holds(const char *name, bool holds, const char *what);
#define HOLDS(name, what) model_holds(name, (what), #what)

/** NULL, or the broken promise with what was to hold; asking forgets it. */
const char *model_broken(void);

/** A line of the trail; silent in a search. What is tried only is neither said nor counted. */
void model_mute(bool mute);
void model_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
