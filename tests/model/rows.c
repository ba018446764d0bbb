/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Prints every row that each role may take, for the count of what the models reached. Made of the table itself.
 */
#include <jumping/fsm.h>

#include <stdio.h>

int main(void)
{
    for (int role = JUMP_CLIENT; role <= JUMP_SERVER; role++)
        for (int mode = 0; mode < JUMP_MODE_COUNT; mode++)
            for (int event = 0; event < JUMP_EV_COUNT; event++) {
                const struct jump_row *row =
                        jump_fsm_row((enum jump_mode)mode, (enum jump_fsm_event)event, (enum jump_role)role);
                if (row->kind != JUMP_ROW_ILLEGAL)
                    printf("%s %s %s %s\n", role == JUMP_CLIENT ? "client" : "server",
                           jump_mode_name((enum jump_mode)mode), jump_fsm_event_name((enum jump_fsm_event)event), row->name);
            }
    return 0;
}
