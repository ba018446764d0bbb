/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What paths.c keeps: two sessions of one server, bytes without padding.
 */
#ifndef MODEL_PATHS_H
#define MODEL_PATHS_H

#include "step.h"

typedef unsigned char byte;

struct model {
    struct {
        byte mode, binding; /* a path, 1 to 3; 0: none */
        byte pending, path; /* the commit that is out */
        byte fenced, ended;
    } s[2];
};

typedef bool model_event(struct model *m, int a, int b);

model_event first_probe, proof, store_answers, path_dies, measures, ends, transport_ttl;

void model_init(struct model *m);
void model_check(struct model *m, bool called);

#endif
