/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What may happen next in timing.c: anything that is possible, and time.
 */
c_decl {
\#include "timing.h"
}
c_state "struct model m" "Global"

#include "choose.pml"

active proctype world()
{
    c_code { model_init(&now.m); };
end: do
    TIME(time_passes, 0, 0)
    EVENT(timers_run, 0, 0)
#ifdef CLIENT
    EVENT(client_measures, 0, 0) EVENT(client_measures, 1, 0) EVENT(client_measures, 2, 0)
    EVENT(client_path_dies, 0, 0) EVENT(client_switches, 0, 0)
    EVENT(client_is_denied, 0, 0) EVENT(client_is_denied, 1, 0) EVENT(client_is_denied, 2, 0)
    EVENT(client_is_accepted, 0, 0)
#else
    EVENT(server_measures, 0, 0) EVENT(server_measures, 1, 0) EVENT(server_measures, 2, 0)
    EVENT(server_path_dies, 0, 0)
    EVENT(server_hears_proof, 0, 0) EVENT(server_hears_proof, 1, 0)
    EVENT(server_store_answers, 0, 0) EVENT(server_store_answers, 1, 0)
#endif
    od
}
