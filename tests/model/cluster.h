/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What cluster.c keeps: two nodes and the store they share, bytes without padding.
 */
#ifndef MODEL_CLUSTER_H
#define MODEL_CLUSTER_H

#include "step.h"

#ifndef LEASE
#define LEASE 3 /* ticks for which the store lets a node be the owner */
#endif
#ifndef MARGIN
#define MARGIN 1 /* ticks by which a node stops earlier */
#endif
#ifndef DRIFT
#define DRIFT 1 /* ticks by which a node's clock may fall behind the store's during one lease */
#endif
#ifndef PATHS
#define PATHS 1 /* where the client can be */
#endif

typedef unsigned char byte;

struct model {
    struct {
        byte owner, lease; /* owner 1, 2; lease: ticks that are left */
        byte path;
    } store;
    struct {
        byte mode;          /* TERMINATED: it knows nothing of the session */
        byte owns, lease;   /* as it believes, by its own clock */
        byte behind, behind_since_ask; /* ticks that its clock has lost in this lease, and since the write that is out */
        byte path;
        byte current;       /* its revision is the store's */
        byte asks, asked_for, applied, refused, late; /* the write that is out: which, which path, its fate, its age */
        byte write_current; /* the revision that the write expects is the store's */
    } node[2];
};

typedef bool model_event(struct model *m, int a, int b);

model_event acquires, renews, hears_proof, applies, answer_comes, lease_is_over, path_dies, time_passes;

void model_init(struct model *m);
void model_check(struct model *m, bool called);

#endif
