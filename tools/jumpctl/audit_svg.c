/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Draws the picture: one lane for each session, states as bands, bindings below them, time without a binding hatched.
 * Colours are from Okabe and Ito's palette, which people with the common colour blindnesses tell apart; every
 * colour has a word or a pattern beside it. Self-contained SVG: no font, script or file from elsewhere.
 * Read next: audit_plot.h.
 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "audit_plot.h"

#define WIDTH 1280.0
#define LEFT 168.0  /* where the time begins */
#define RIGHT 1108.0 /* and ends; beyond it stands why a session ended */
#define TOP 92.0
#define SHORT_ID 8

static const struct look {
    const char *name, *fill, *ink;
} looks[JUMP_STATE_COUNT] = {
    [JUMP_BIRTH] = {"BIRTH", "#c9ced6", "#222"},          [JUMP_ATTACHED] = {"ATTACHED", "#009e73", "#fff"},
    [JUMP_VOLATILE] = {"VOLATILE", "#f0e442", "#222"},    [JUMP_DEGRADED] = {"DEGRADED", "#e69f00", "#222"},
    [JUMP_RECOVERING] = {"RECOVERING", "#d55e00", "#fff"}, [JUMP_TERMINATED] = {"TERMINATED", "#222222", "#fff"},
};

static const char *const mark_names[PLOT_MARK_KINDS] = {
    [PLOT_SECURITY] = "security event", [PLOT_DENIED] = "denied or suspect", [PLOT_KEY] = "key rotated", [PLOT_DROPPED] = "events dropped"};

/* How tall things are; small where there are many lanes. */
struct scale {
    double band, row, lane, font;
    double per_second;
    const struct plot *plot;
    FILE *to;
};

static double x_of(const struct scale *scale, uint64_t at)
{
    double seconds = at > scale->plot->from ? (double)(at - scale->plot->from) / 1e9 : 0;

    return LEFT + seconds * scale->per_second;
}

/* Text that may hold anything. */
static void put_text(FILE *to, const char *text)
{
    while (*text != '\0') {
        size_t bytes = jumpctl_showable(text);
        char c = *text;

        if (c == '<')
            fputs("&lt;", to);
        else if (c == '>')
            fputs("&gt;", to);
        else if (c == '&')
            fputs("&amp;", to);
        else if (c == '"')
            fputs("&quot;", to);
        else if (bytes == 0)
            fputc('?', to);
        else
            (void)fwrite(text, 1, bytes, to);
        text += bytes == 0 ? 1 : bytes;
    }
}

static double text_width(const char *text, double font)
{
    return (double)strlen(text) * font * 0.58;
}

static void seconds_text(char out[32], double seconds)
{
    if (seconds < 0.0995)
        (void)snprintf(out, 32, "%.0f ms", seconds * 1000);
    else if (seconds < 10)
        (void)snprintf(out, 32, "%.2f s", seconds);
    else
        (void)snprintf(out, 32, "%.1f s", seconds);
}

/* --- A lane ---------------------------------------------------------------------------------------------- */

static uint64_t mode_end(const struct plot *plot, const struct plot_lane *lane, size_t i)
{
    return i + 1 < lane->modes_len ? lane->modes[i + 1].at : plot->to;
}

static void draw_state(const struct scale *scale, const struct plot_lane *lane, size_t i, double y)
{
    const struct plot_mode *mode = &lane->modes[i];
    const struct look *look = &looks[jump_mode_state(mode->mode)];
    double from = x_of(scale, mode->at), to = x_of(scale, mode_end(scale->plot, lane, i));
    double width = to - from < 1.6 ? 1.6 : to - from; /* a moment in five minutes must still be seen */
    char length[32];

    seconds_text(length, (double)(mode_end(scale->plot, lane, i) - mode->at) / 1e9);
    fprintf(scale->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>%s for %s%s",
            from, y, width, scale->band, look->fill, jump_mode_name(mode->mode), length, mode->reason[0] != '\0' ? ": " : "");
    put_text(scale->to, mode->reason);
    fputs(mode->row[0] != '\0' ? ", " : "", scale->to);
    put_text(scale->to, mode->row);
    fputs("</title></rect>\n", scale->to);
    if (width > text_width(look->name, scale->font) * 1.15 + 8)
        fprintf(scale->to, "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\" font-size=\"%.1f\" pointer-events=\"none\">%s</text>\n", from + 5,
                y + scale->band / 2 + scale->font * 0.36, look->ink, scale->font, look->name);
}

static void draw_end(const struct scale *scale, const struct plot_lane *lane, double y)
{
    const struct plot_mode *mode = &lane->modes[lane->modes_len - 1];
    double x = x_of(scale, mode->at);

    if (!lane->ended)
        return;
    fprintf(scale->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"4\" height=\"%.1f\" fill=\"#222\"><title>TERMINATED: ", x, y - 2,
            scale->band + scale->row + 6);
    put_text(scale->to, mode->reason);
    fprintf(scale->to, "</title></rect>\n<text x=\"%.1f\" y=\"%.1f\" fill=\"#222\" font-size=\"%.1f\" class=\"halo\">", x + 8,
            y + scale->band / 2 + scale->font * 0.36, scale->font);
    put_text(scale->to, mode->reason);
    fputs("</text>\n", scale->to);
}

/* The lower row is drawn twice: shapes, then labels, which may reach beyond their shape. */
struct row {
    const struct scale *scale;
    double y, free_from; /* labels begin here at the earliest */
    bool labels;
};

/* A stretch of the lower row that is bound. */
static void draw_bound(struct row *row, const struct plot_binding *binding, size_t number, uint64_t from_at, uint64_t to_at)
{
    const struct scale *scale = row->scale;
    double from = x_of(scale, from_at), to = x_of(scale, to_at), at = from + 5;
    const char *label = binding == NULL ? "" : binding->path;

    if (!row->labels) {
        fprintf(scale->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" stroke=\"#6a85a0\" "
                "stroke-width=\"0.6\"><title>", from, row->y, to - from < 1 ? 1 : to - from, scale->row,
                number % 2 == 0 ? "#dbe8f4" : "#b7d0e8");
        put_text(scale->to, label);
        if (binding != NULL)
            fprintf(scale->to, ", generation %llu%s, found after %llu ms", (unsigned long long)binding->generation,
                    binding->voluntary ? ", voluntary" : "", (unsigned long long)binding->latency_ms);
        fputs("</title></rect>\n", scale->to);
        return;
    }
    if (at < row->free_from)
        at = row->free_from;
    if (strncmp(label, "udp ", 4) == 0 && to - at < text_width(label, scale->font) + 4)
        label += 4;
    if (label[0] == '\0' || to - at < text_width(label, scale->font) + 4)
        return;
    fprintf(scale->to, "<text x=\"%.1f\" y=\"%.1f\" fill=\"#1d3346\" font-size=\"%.1f\" pointer-events=\"none\">", at,
            row->y + scale->row / 2 + scale->font * 0.36, scale->font);
    put_text(scale->to, label);
    fputs("</text>\n", scale->to);
    row->free_from = at + text_width(label, scale->font) + 6;
}

/* A stretch of it that is not; `next_at`: the next one begins. */
static void draw_gap(struct row *row, uint64_t from_at, uint64_t to_at, uint64_t next_at)
{
    const struct scale *scale = row->scale;
    double from = x_of(scale, from_at), to = x_of(scale, to_at), width = to - from < 2 ? 2 : to - from, length, at;
    char label[32];

    seconds_text(label, (double)(to_at - from_at) / 1e9);
    length = text_width(label, scale->font);
    if (!row->labels) {
        fprintf(scale->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"url(#gap)\" stroke=\"#a33b00\" "
                "stroke-width=\"0.8\"><title>no binding for %s</title></rect>\n", from, row->y, width, scale->row, label);
        return;
    }
    at = width > length + 8 ? from + (width - length) / 2 : from + width + 3;
    if (at < row->free_from || (at >= from + width && at + length > x_of(scale, next_at)))
        return; /* its neighbour stands here; the title still tells */
    if (at < from + width)
        fprintf(scale->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#fff\" pointer-events=\"none\"/>\n",
                at - 3, row->y + 1.5, length + 6, scale->row - 3);
    fprintf(scale->to, "<text x=\"%.1f\" y=\"%.1f\" fill=\"#8c2f00\" font-size=\"%.1f\" font-weight=\"bold\" "
            "pointer-events=\"none\">%s</text>\n", at, row->y + scale->row / 2 + scale->font * 0.36, scale->font, label);
    row->free_from = at + length + 8;
}

/* Where the first unbound stretch behind the i-th mode begins. */
static uint64_t next_gap(const struct plot_lane *lane, size_t i)
{
    for (i++; i < lane->modes_len; i++)
        if (!jump_mode_bound(lane->modes[i].mode) && lane->modes[i].mode != JUMP_MODE_TERMINATED)
            return lane->modes[i].at;
    return UINT64_MAX;
}

/* Cut where the session was bound or unbound, and where the binding changed. */
static void draw_row(struct row *row, const struct plot_lane *lane)
{
    size_t next = 0, number = 0;
    const struct plot_binding *binding = NULL;

    for (size_t i = 0, last; i < lane->modes_len; i = last + 1) {
        enum jump_mode mode = lane->modes[i].mode;
        bool bound = jump_mode_bound(mode);
        uint64_t from = lane->modes[i].at, to;

        last = i;
        while (last + 1 < lane->modes_len && jump_mode_bound(lane->modes[last + 1].mode) == bound &&
               (bound || lane->modes[last + 1].mode != JUMP_MODE_TERMINATED))
            last++;
        to = mode_end(row->scale->plot, lane, last);
        if (!bound) {
            if (mode != JUMP_MODE_BIRTH && mode != JUMP_MODE_TERMINATED)
                draw_gap(row, from, to, next_gap(lane, last));
            continue;
        }
        for (; next < lane->bindings_len && lane->bindings[next].at <= from; next++) {
            number += binding != NULL && strcmp(binding->path, lane->bindings[next].path) != 0;
            binding = &lane->bindings[next];
        }
        for (; next < lane->bindings_len && lane->bindings[next].at < to; next++) {
            if (binding == NULL || strcmp(binding->path, lane->bindings[next].path) != 0) {
                draw_bound(row, binding, number++, from, lane->bindings[next].at);
                from = lane->bindings[next].at;
            }
            binding = &lane->bindings[next];
        }
        draw_bound(row, binding, number, from, to);
    }
}

static void draw_mark(FILE *to, enum plot_mark_kind kind, double x, double y)
{
    switch (kind) {
    case PLOT_SECURITY:
        fprintf(to, "<path d=\"M%.1f %.1fl-4.5 -8h9z\" fill=\"#cc79a7\" stroke=\"#5d1f44\" stroke-width=\"0.9\">", x, y);
        break;
    case PLOT_DENIED:
        fprintf(to, "<path d=\"M%.1f %.1fl-4 -4l4 -4l4 4z\" fill=\"#fff\" stroke=\"#222\" stroke-width=\"1.1\">", x, y);
        break;
    case PLOT_KEY:
        fprintf(to, "<path d=\"M%.1f %.1fv-8\" stroke=\"#0072b2\" stroke-width=\"2\">", x, y);
        break;
    default:
        fprintf(to, "<path d=\"M%.1f %.1fl6 -6m-6 0l6 6\" stroke=\"#555\" stroke-width=\"1.6\">", x - 3, y - 1);
        break;
    }
}

static void draw_marks(const struct scale *scale, const struct plot_lane *lane, double y)
{
    /* Marks of one kind that would cover each other are one mark that says how many it stands for. */
    for (int kind = 0; kind < PLOT_MARK_KINDS; kind++)
        for (size_t i = 0; i < lane->marks_len;) {
            const struct plot_mark *mark = &lane->marks[i];
            size_t count = 0;
            double x = x_of(scale, mark->at);

            if (mark->kind != (enum plot_mark_kind)kind) {
                i++;
                continue;
            }
            for (; i < lane->marks_len && (lane->marks[i].kind != mark->kind || x_of(scale, lane->marks[i].at) - x < 5); i++)
                count += lane->marks[i].kind == mark->kind;
            draw_mark(scale->to, mark->kind, x, y - 2);
            fputs("<title>", scale->to);
            put_text(scale->to, mark->text);
            if (count > 1)
                fprintf(scale->to, " and %zu more", count - 1);
            fputs("</title></path>\n", scale->to);
        }
}

static void draw_lane(const struct scale *scale, const struct plot_lane *lane, double y)
{
    char id[SHORT_ID + 1];

    fprintf(scale->to, "<g>\n<text x=\"16\" y=\"%.1f\" font-size=\"%.1f\" font-weight=\"bold\">", y + scale->band * 0.72,
            scale->font + 1);
    (void)snprintf(id, sizeof id, "%.*s", (int)strcspn(lane->key, "/"), lane->key);
    put_text(scale->to, id);
    fprintf(scale->to, "<tspan dx=\"5\" font-weight=\"normal\" fill=\"#555\">%s</tspan></text>\n",
            lane->role == JUMP_CLIENT ? "client" : lane->role == JUMP_SERVER ? "server" : "");
    fprintf(scale->to, "<text x=\"16\" y=\"%.1f\" font-size=\"%.1f\" fill=\"#555\">", y + scale->band + scale->row * 0.8 + 2,
            scale->font);
    put_text(scale->to, lane->node);
    fputs("</text>\n", scale->to);
    for (size_t i = 0; i < lane->modes_len; i++)
        if (lane->modes[i].mode != JUMP_MODE_TERMINATED)
            draw_state(scale, lane, i, y);
    draw_row(&(struct row){.scale = scale, .y = y + scale->band + 2}, lane);
    draw_row(&(struct row){.scale = scale, .y = y + scale->band + 2, .labels = true}, lane);
    draw_end(scale, lane, y);
    draw_marks(scale, lane, y);
    fputs("</g>\n", scale->to);
}

/* --- The frame ------------------------------------------------------------------------------------------- */

static double tick_step(double seconds)
{
    static const double steps[] = {0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800};
    size_t i = 0;

    while (i + 1 < sizeof steps / sizeof steps[0] && seconds / steps[i] > 12)
        i++;
    return steps[i] < seconds / 12 ? ceil(seconds / 12 / 86400) * 86400 : steps[i];
}

static void draw_axis(const struct scale *scale, double seconds, double top, double bottom)
{
    double step = tick_step(seconds);

    fputs("<g stroke=\"#e3e6ea\" stroke-width=\"1\">\n", scale->to);
    /* NOLINTNEXTLINE(cert-flp30-c,clang-analyzer-security.FloatLoopCounter): at most a dozen ticks, with half a pixel's tolerance */
    for (double t = 0; t <= seconds + step * 1e-6; t += step)
        fprintf(scale->to, "<path d=\"M%.1f %.1fV%.1f\"/>\n", LEFT + t * scale->per_second, top - 12, bottom);
    fputs("</g>\n<g font-size=\"11\" fill=\"#444\" text-anchor=\"middle\">\n", scale->to);
    /* NOLINTNEXTLINE(cert-flp30-c,clang-analyzer-security.FloatLoopCounter): at most a dozen ticks, with half a pixel's tolerance */
    for (double t = 0; t <= seconds + step * 1e-6; t += step)
        fprintf(scale->to, "<text x=\"%.1f\" y=\"%.1f\">%g</text><text x=\"%.1f\" y=\"%.1f\">%g</text>\n",
                LEFT + t * scale->per_second, top - 17, t, LEFT + t * scale->per_second, bottom + 14, t);
    fprintf(scale->to, "<text x=\"%.1f\" y=\"%.1f\">seconds</text>\n</g>\n", (LEFT + RIGHT) / 2, bottom + 30);
    fprintf(scale->to, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#8a929c\"/>\n", LEFT, bottom, RIGHT);
}

static double legend_word(const struct scale *scale, double x, double y, const char *word)
{
    fprintf(scale->to, "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", x, y + 10, word);
    return x + text_width(word, 11) + 20;
}

static void draw_legend(const struct scale *scale, double y)
{
    double x = 16;

    fputs("<g font-size=\"11\" fill=\"#222\">\n", scale->to);
    for (int state = 0; state < JUMP_STATE_COUNT; state++) {
        fprintf(scale->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"12\" fill=\"%s\"/>\n", x, y, looks[state].fill);
        x = legend_word(scale, x + 21, y, looks[state].name);
    }
    x = 16;
    y += 22;
    fprintf(scale->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"12\" fill=\"#dbe8f4\" stroke=\"#6a85a0\" stroke-width=\"0.6\"/>\n", x, y);
    x = legend_word(scale, x + 21, y, "binding");
    fprintf(scale->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"12\" fill=\"url(#gap)\" stroke=\"#a33b00\" stroke-width=\"0.8\"/>\n", x, y);
    x = legend_word(scale, x + 21, y, "no binding, with its length");
    for (int kind = 0; kind < PLOT_MARK_KINDS; kind++) {
        draw_mark(scale->to, (enum plot_mark_kind)kind, x + 6, y + 11);
        fputs("</path>\n", scale->to);
        x = legend_word(scale, x + 16, y, mark_names[kind]);
    }
    fputs("</g>\n", scale->to);
}

/* Both sides of a session are two lanes and one session. */
static size_t count_sessions(const struct plot *plot)
{
    size_t count = 0;

    for (size_t i = 0; i < plot->lanes_len; i++) {
        size_t k = 0;

        while (k < i && strncmp(plot->lanes[k]->key, plot->lanes[i]->key, 2 * JUMP_ID_BYTES) != 0)
            k++;
        count += k == i;
    }
    return count;
}

static void draw_title(const struct scale *scale, double seconds)
{
    const struct plot *plot = scale->plot;
    time_t from = (time_t)(plot->from / 1000000000u);
    size_t gaps = 0, switches = 0, sessions = count_sessions(plot);
    char when[64] = "", length[32];
    struct tm parts;

    for (size_t i = 0; i < plot->lanes_len; i++) {
        const struct plot_lane *lane = plot->lanes[i];

        switches += lane->bindings_len > 0 ? lane->bindings_len - 1 : 0;
        for (size_t k = 1; k < lane->modes_len; k++)
            gaps += jump_mode_bound(lane->modes[k - 1].mode) && !jump_mode_bound(lane->modes[k].mode) &&
                    lane->modes[k].mode != JUMP_MODE_TERMINATED;
    }
    if (gmtime_r(&from, &parts) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &parts);
    seconds_text(length, seconds);
    fprintf(scale->to, "<text x=\"16\" y=\"30\" font-size=\"18\" font-weight=\"bold\">VPN sessions over changes of their network</text>\n"
            "<text x=\"16\" y=\"50\" font-size=\"12\" fill=\"#444\">from %s, %s: %zu session%s, %zu change%s of the binding, %zu time%s "
            "without one%s%s</text>\n", when, length, sessions, sessions == 1 ? "" : "s", switches,
            switches == 1 ? "" : "s", gaps, gaps == 1 ? "" : "s",
            sessions < plot->lanes_len ? ", as each side saw it" : "", plot->left_out > 0 ? "; more sessions are not shown" : "");
}

void plot_svg(FILE *to, const struct plot *plot)
{
    struct scale scale = {.band = 22, .row = 18, .lane = 68, .font = 11, .plot = plot, .to = to};
    double seconds = plot->to > plot->from ? (double)(plot->to - plot->from) / 1e9 : 1;
    double bottom, height;

    if (plot->lanes_len > 6)
        scale = (struct scale){.band = 15, .row = 13, .lane = 46, .font = 9.5, .plot = plot, .to = to};
    scale.per_second = (RIGHT - LEFT) / seconds;
    bottom = TOP + scale.lane * (double)plot->lanes_len;
    height = bottom + 100;
    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
            "font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" fill=\"#222\">\n"
            "<style>.halo{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}</style>\n"
            "<defs><pattern id=\"gap\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
            "<rect width=\"6\" height=\"6\" fill=\"#fff\"/><rect width=\"2\" height=\"6\" fill=\"#d55e00\"/></pattern></defs>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fdfdfd\"/>\n", WIDTH, height, WIDTH, height);
    draw_title(&scale, seconds);
    for (size_t i = 1; i < plot->lanes_len; i += 2)
        fprintf(to, "<rect x=\"8\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#f3f5f8\"/>\n", TOP - 12 + scale.lane * (double)i,
                WIDTH - 16, scale.lane);
    draw_axis(&scale, seconds, TOP, bottom);
    for (size_t i = 0; i < plot->lanes_len; i++)
        draw_lane(&scale, plot->lanes[i], TOP + scale.lane * (double)i + 2);
    draw_legend(&scale, bottom + 46);
    fputs("</svg>\n", to);
}
