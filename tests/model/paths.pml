/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What may happen next in paths.c: anything that is possible, to either session.
 */
c_decl {
\#include "paths.h"
}
c_state "struct model m" "Global"

#include "choose.pml"

#define SESSION(s) \
    EVENT(first_probe, s, 1) EVENT(first_probe, s, 2) \
    EVENT(proof, s, 1) EVENT(proof, s, 2) EVENT(proof, s, 3) \
    EVENT(store_answers, s, 0) EVENT(store_answers, s, 1) \
    EVENT(path_dies, s, 0) EVENT(measures, s, 0) EVENT(measures, s, 1) EVENT(measures, s, 2) \
    EVENT(ends, s, 0) EVENT(transport_ttl, s, 0)

active proctype world()
{
    c_code { model_init(&now.m); };
end: do
    SESSION(0)
    SESSION(1)
    od
}
