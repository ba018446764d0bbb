/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who may act in recovery.c. A process stands for what is sure to happen at some time if it stays possible; what may happen or
 * not is the attacker's and the weather's.
 */
c_decl {
\#include "recovery.h"
}
c_state "struct model m" "Global"

#include "choose.pml"

bool calm, attached;

#define TOLD c_code { now.calm = now.m.calm; now.attached = now.m.c_mode == JUMP_MODE_ATTACHED; }
#define MAY(name, a, b) \
    :: d_step { c_expr { (try_event(name, a, b)) } -> c_code { take_event(name, a, b, true); }; TOLD }
#define UNDER_WAY(name, kind) \
    active proctype name() \
    { \
    end: do \
        MAY(arrives, kind, 0) MAY(arrives, kind, 1) MAY(arrives, kind, 2) MAY(is_lost, kind, 0) \
        od \
    }

active proctype asking() { end: do MAY(client_asks, 0, 0) od }
active proctype retrying() { end: do MAY(client_retries, 0, 0) od }
UNDER_WAY(requests, REQUEST)
UNDER_WAY(challenges, CHALLENGE)
UNDER_WAY(proofs, PROOF)
UNDER_WAY(accepts, ACCEPT)
UNDER_WAY(denials, DENY)
active proctype store() { end: do MAY(store_answers, 1, 0) MAY(store_answers, 0, 0) od }

active proctype weather()
{
    d_step { c_code { model_init(&now.m); }; TOLD } /* before it nobody else can do anything */
end: do
    MAY(path_dies, 0, 0)
    MAY(server_hears_nothing, 0, 0)
    MAY(it_becomes_calm, 0, 0)
    MAY(older_proof_arrives, 0, 0)
    od
}

ltl I10 { [] (calm -> <> attached) }
