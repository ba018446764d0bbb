/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One choice of the search: an event with its numbers, if it is possible now, and the promises after it.
 */
#define EVENT(name, a, b) \
    :: d_step { c_expr { (try_event(name, a, b)) } -> c_code { take_event(name, a, b, true); } }
/* Time: nobody has called the core. */
#define TIME(name, a, b) \
    :: d_step { c_expr { (try_event(name, a, b)) } -> c_code { take_event(name, a, b, false); } }

c_code {
extern void (*uerror)(char *); /* the search itself: defined further down in what spin makes */

static int try_event(model_event *event, int a, int b)
{
    struct model copy = now.m;
    int possible;
    model_mute(true); /* nothing happens yet, and nothing is said of it */
    possible = event(&copy, a, b);
    model_mute(false);
    model_broken();
    return possible;
}

static void take_event(model_event *event, int a, int b, bool called)
{
    const char *broken;
    event(&now.m, a, b);
    model_check(&now.m, called);
    broken = model_broken();
    if (broken)
        uerror((char *)broken);
}
}
