/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What may happen next in cluster.c: anything that is possible, at either node, in the store, and time.
 */
c_decl {
\#include "cluster.h"
}
c_state "struct model m" "Global"

#include "choose.pml"

#if PATHS > 1
#define SECOND_PATH(n) EVENT(hears_proof, n, 2)
#else
#define SECOND_PATH(n)
#endif
#define NODE(n) \
    EVENT(acquires, n, 0) EVENT(renews, n, 0) EVENT(hears_proof, n, 1) SECOND_PATH(n) \
    EVENT(applies, n, 0) EVENT(answer_comes, n, 0) EVENT(lease_is_over, n, 0) EVENT(path_dies, n, 0)

active proctype world()
{
    c_code { model_init(&now.m); };
end: do
    NODE(0)
    NODE(1)
    TIME(time_passes, 0, 0) TIME(time_passes, 1, 0) TIME(time_passes, 2, 0) TIME(time_passes, 3, 0)
    od
}
