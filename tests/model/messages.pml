/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What may happen next in messages.c: anything that is possible. spin walks through all of it.
 */
c_decl {
\#include "messages.h"
}
c_state "struct model m" "Global"

#include "choose.pml"

#define FROM(n, path) EVENT(ask_comes, n, path) EVENT(ask_comes, n, 4 | path)
#ifdef THIRD_PATH
#define SENT(n) FROM(n, 1) FROM(n, 2) FROM(n, 3)
#else
#define SENT(n) FROM(n, 1) FROM(n, 2)
#endif
#define AFTER(event) EVENT(after_the_end, event, JUMP_CLIENT) EVENT(after_the_end, event, JUMP_SERVER)
#ifdef UPLINKS
#define ANSWERED(n) EVENT(answer_comes, n, 1) EVENT(answer_comes, n, 2)
#else
#define ANSWERED(n) EVENT(answer_comes, n, 1)
#endif

active proctype world()
{
    c_code { model_init(&now.m); };
end: do
    EVENT(host_opens, 0, 0)
    EVENT(client_announces, 0, 0)
    EVENT(birth_comes, 1, 0)
    EVENT(birth_ack_comes, 0, 0)
    EVENT(probe_comes, 1, 0) EVENT(probe_comes, 3, 0)
#ifdef MEASURES
    EVENT(client_measures, 0, 0) EVENT(client_measures, 1, 0) EVENT(client_measures, 2, 0)
    EVENT(client_switches, 0, 0) EVENT(client_switch_denied, 0, 0) EVENT(client_switch_timeout, 0, 0)
    EVENT(client_has_no_candidate, 0, 0)
    EVENT(server_measures, 0, 0) EVENT(server_measures, 1, 0) EVENT(server_measures, 2, 0)
#endif
    EVENT(client_dies_path, 0, 0) EVENT(client_retries, 0, 0) EVENT(client_asks, 0, 0)
    EVENT(server_dies_path, 0, 0)
    SENT(0) SENT(1) SENT(2)
    ANSWERED(1) ANSWERED(2)
#if ASKS > 2
    SENT(3)
#endif
#if ASKS > 3
    SENT(4)
#endif
#if ASKS > 4
    SENT(5)
#endif
#if ANSWERS > 2
    ANSWERED(3)
#endif
#if ANSWERS > 3
    ANSWERED(4)
#endif
#if ANSWERS > 4
    ANSWERED(5)
#endif
    EVENT(store_answers, 0, 0) EVENT(store_answers, 1, 0)
    EVENT(challenges_grow_old, 0, 0)
#ifdef THIEF
    EVENT(somebody_writes, 0, 0) EVENT(server_meets_thief, 0, 0)
#endif
#ifdef RESTARTS
    EVENT(server_restarts, 0, 0)
    EVENT(server_resets, 0, 0) EVENT(server_resets, 1, 0) EVENT(server_resets, 2, 0)
    EVENT(reset_comes, 0, 0) EVENT(reset_comes, 1, 0) EVENT(reset_comes, 2, 0)
#if ASKS > 2
    EVENT(server_resets, 3, 0) EVENT(reset_comes, 3, 0)
#endif
#endif
#ifdef ROLLBACK
    EVENT(server_rolls_back, 0, 0)
#endif
#ifdef ENDS
    EVENT(client_ends, 0, 0) EVENT(client_ends, 1, 0) EVENT(client_ends, 2, 0)
    EVENT(client_ends, 3, 0) EVENT(client_ends, 4, 0) EVENT(client_ends, 5, 0)
    EVENT(client_birth_fails, 0, 0) EVENT(client_birth_fails, 1, 0) EVENT(client_hears_end, 0, 0)
    EVENT(server_transport_ttl, 0, 0)
    EVENT(server_ends, 0, 0) EVENT(server_ends, 1, 0) EVENT(server_ends, 2, 0) EVENT(server_ends, 3, 0)
    EVENT(server_birth_fails, 0, 0) EVENT(server_birth_fails, 1, 0) EVENT(server_hears_end, 0, 0)
    AFTER(0) AFTER(1) AFTER(2) AFTER(3) AFTER(4) AFTER(5) AFTER(6) AFTER(7) AFTER(8) AFTER(9) AFTER(10)
    AFTER(11) AFTER(12) AFTER(13) AFTER(14) AFTER(15) AFTER(16) AFTER(17) AFTER(18) AFTER(19) AFTER(20)
#endif
    od
}
