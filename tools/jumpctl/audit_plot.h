/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The picture between its two halves: audit_plot.c collects it from audit lines, audit_svg.c draws it. Instants are
 * nanoseconds since 1970, from the boot-time clock and one wall-clock offset for each file and boot.
 */
#ifndef JUMPCTL_AUDIT_PLOT_H
#define JUMPCTL_AUDIT_PLOT_H

#include <jumping/fsm.h>

#include "jumpctl.h"

/** From `at` on the session was in this mode. */
struct plot_mode {
    uint64_t at;
    enum jump_mode mode;
    char reason[48], row[8];
};

/** From `at` on, where bound, this was the binding. */
struct plot_binding {
    uint64_t at, latency_ms, generation;
    bool voluntary;
    char path[80];
};

enum plot_mark_kind { PLOT_SECURITY, PLOT_DENIED, PLOT_KEY, PLOT_DROPPED, PLOT_MARK_KINDS };

/** Something that happened at an instant. */
struct plot_mark {
    uint64_t at;
    enum plot_mark_kind kind;
    char text[112];
};

struct plot_lane {
    char key[AUDIT_KEY_BYTES]; /* first: audit_session finds by it */
    char node[64];
    enum jump_role role;
    struct plot_mode *modes;
    size_t modes_len, modes_cap;
    struct plot_binding *bindings;
    size_t bindings_len, bindings_cap;
    struct plot_mark *marks;
    size_t marks_len, marks_cap;
    bool ended;
};

struct plot {
    struct plot_lane **lanes; /* by their beginning */
    size_t lanes_len, lanes_cap;
    uint64_t from, to;
    size_t left_out; /* sessions beyond those that a picture can hold */
};

void plot_svg(FILE *to, const struct plot *plot);

#endif
