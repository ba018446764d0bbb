/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Owns the reading and the checking of a policy's values: integers only, nothing is clamped, every finding says
 * line, key, value, range and problem. It refuses to know files and INI syntax (an adapter feeds key, value and
 * line) and what a bound is used for. Read next: jumping/policy.h (the rows), core/policy/ (the profiles).
 */
#include <jumping/policy.h>

#include <string.h>

const struct jump_policy_row jump_policy_rows[JUMP_POLICY_KEY_COUNT] = {
#define X(in_section, name, kind, must, low, high, normal, sentence)                                         \
    [JUMP_POLICY_KEY_##name] = {.section = #in_section, .key = #name, .help = sentence,                      \
                                .type = JUMP_POLICY_##kind, .required = must, .least = low, .most = high,    \
                                .preset = normal},
    JUMP_POLICY_ROWS(X)
#undef X
};

/* A row without its sentence, or with a default outside its own range, does not compile. */
#define X(in_section, name, kind, must, low, high, normal, sentence)                                         \
    _Static_assert(sizeof(sentence) > 1, "every key has a help sentence");                                   \
    _Static_assert((low) == 0 || (normal) >= (low), #name " has a default in its range");          \
    _Static_assert((normal) <= (high), #name " has a default in its range");
JUMP_POLICY_ROWS(X)
#undef X

enum { KNOWN_MAJOR = 1, KNOWN_MINOR = 0 };

/*
 * The one place that knows how a row maps to its member: a switch, so that a key without one does not compile.
 */
uint32_t jump_policy_value(const struct jump_policy *policy, enum jump_policy_key key)
{
    switch (key) {
#define X(in_section, name, kind, must, low, high, normal, sentence) case JUMP_POLICY_KEY_##name: return policy->name;
        JUMP_POLICY_ROWS(X)
#undef X
    case JUMP_POLICY_KEY_COUNT: break;
    }
    return 0;
}

void jump_policy_set(struct jump_policy *policy, enum jump_policy_key key, uint32_t value)
{
    switch (key) {
#define X(in_section, name, kind, must, low, high, normal, sentence)                                         \
    case JUMP_POLICY_KEY_##name: policy->name = value; return;
        JUMP_POLICY_ROWS(X)
#undef X
    case JUMP_POLICY_KEY_COUNT: break;
    }
}

/* Text without stdio */

struct text {
    char *bytes;
    size_t used;
};

/* Control characters become '?': a finding is shown on terminals, and the value came from a file. */
static void add(struct text *to, const char *from)
{
    for (; *from != '\0' && to->used + 1 < JUMP_POLICY_TEXT_BYTES; from++) {
        unsigned char c = (unsigned char)*from;
        to->bytes[to->used++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    to->bytes[to->used] = '\0';
}

static void add_number(struct text *to, uint64_t number)
{
    char digits[21];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add(to, &digits[at]);
}

static void add_range(struct text *to, const struct jump_policy_row *row)
{
    switch (row->type) {
    case JUMP_POLICY_RATIO:
        add(to, "more than 0, at most 1, with at most 6 decimals");
        return;
    case JUMP_POLICY_PROTOCOLS:
        add(to, "udp, tcp or both with a comma");
        return;
    case JUMP_POLICY_MS:
    case JUMP_POLICY_COUNT:
    case JUMP_POLICY_POINTS:
    case JUMP_POLICY_POWER2: break;
    }
    add_number(to, row->least);
    add(to, " .. ");
    add_number(to, row->most);
    if (row->type == JUMP_POLICY_POWER2)
        add(to, ", a power of two");
}

/* Findings */

/* Counts the finding and gives its place, cleared; past the last place, one that is thrown away. */
static struct jump_policy_error *finding(struct jump_policy_draft *draft, struct jump_policy_error *overflow,
                                         unsigned line, const char *problem)
{
    struct jump_policy_error *error =
        draft->error_count < JUMP_POLICY_MAX_ERRORS ? &draft->errors[draft->error_count] : overflow;
    draft->error_count++;
    memset(error, 0, sizeof *error);
    error->line = line;
    add(&(struct text){.bytes = error->problem}, problem);
    return error;
}

static void name_key(struct jump_policy_error *error, const char *section, const char *key)
{
    struct text text = {.bytes = error->key};
    add(&text, section);
    add(&text, section[0] != '\0' ? "." : "");
    add(&text, key);
}

static void refuse(struct jump_policy_draft *draft, unsigned line, const char *section, const char *key,
                   const char *value, const struct jump_policy_row *row, const char *problem)
{
    struct jump_policy_error overflow;
    struct jump_policy_error *error = finding(draft, &overflow, line, problem);
    name_key(error, section, key);
    add(&(struct text){.bytes = error->value}, value);
    if (row != NULL)
        add_range(&(struct text){.bytes = error->range}, row);
}

static void refuse_version(struct jump_policy_draft *draft, unsigned line, const char *value, const char *problem)
{
    struct jump_policy_error overflow;
    struct jump_policy_error *error = finding(draft, &overflow, line, problem);
    name_key(error, "", "version");
    add(&(struct text){.bytes = error->value}, value);
    struct text range = {.bytes = error->range};
    add_number(&range, KNOWN_MAJOR);
    add(&range, ".");
    add_number(&range, KNOWN_MINOR);
}

/* Parsing: each reader takes the text from *at, moves *at behind it, and says whether it was one. */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Decimal digits without a leading zero (is 0100 a hundred or octal?); saturates far above every range. */
static bool read_digits(const char **at, uint64_t *number)
{
    const char *c = *at;
    if (!is_digit(*c) || (*c == '0' && is_digit(c[1])))
        return false;
    uint64_t sum = 0;
    for (; is_digit(*c); c++)
        if (sum <= UINT32_MAX)
            sum = sum * 10 + (uint64_t)(*c - '0');
    *at = c;
    *number = sum;
    return true;
}

static bool read_ratio(const char **at, uint64_t *ppm)
{
    uint64_t whole;
    if (!read_digits(at, &whole))
        return false;
    *ppm = whole * JUMP_PPM;
    if (**at != '.')
        return true;
    (*at)++;
    if (!is_digit(**at))
        return false;
    for (uint64_t unit = JUMP_PPM / 10; is_digit(**at); (*at)++, unit /= 10) {
        if (unit == 0)
            return false; /* a seventh decimal would be dropped in silence */
        *ppm += (uint64_t)(**at - '0') * unit;
    }
    return true;
}

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

static bool read_protocols(const char **at, uint64_t *bits)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } known[] = {{"udp", JUMP_PROTO_BIT(JUMP_PROTO_UDP)}, {"tcp", JUMP_PROTO_BIT(JUMP_PROTO_TCP)}};

    *bits = 0;
    for (;;) {
        size_t i = 0, count = sizeof known / sizeof known[0];
        skip_blanks(at);
        while (i < count && strncmp(*at, known[i].name, strlen(known[i].name)) != 0)
            i++;
        if (i == count || (*bits & known[i].bit) != 0)
            return false;
        *bits |= known[i].bit;
        *at += strlen(known[i].name);
        skip_blanks(at);
        if (**at != ',')
            return true;
        (*at)++;
    }
}

static bool read_value(enum jump_policy_type type, const char *value, uint64_t *number)
{
    bool ok = false;
    switch (type) {
    case JUMP_POLICY_MS:
    case JUMP_POLICY_COUNT:
    case JUMP_POLICY_POINTS:
    case JUMP_POLICY_POWER2: ok = read_digits(&value, number); break;
    case JUMP_POLICY_RATIO: ok = read_ratio(&value, number); break;
    case JUMP_POLICY_PROTOCOLS: ok = read_protocols(&value, number); break;
    }
    return ok && *value == '\0';
}

static const char *not_a_value(enum jump_policy_type type)
{
    switch (type) {
    case JUMP_POLICY_RATIO: return "not a decimal fraction";
    case JUMP_POLICY_PROTOCOLS: return "not a list of protocols";
    case JUMP_POLICY_MS:
    case JUMP_POLICY_COUNT:
    case JUMP_POLICY_POINTS:
    case JUMP_POLICY_POWER2: break;
    }
    return "not a whole number";
}

/* NULL: the number is one that the row allows, as far as the row alone can tell. */
static const char *row_problem(const struct jump_policy_row *row, uint64_t number)
{
    if (number < row->least || number > row->most)
        return "out of range";
    if (row->type == JUMP_POLICY_POWER2 && (number & (number - 1)) != 0)
        return "not a power of two";
    return NULL;
}

void jump_policy_begin(struct jump_policy_draft *draft)
{
    memset(draft, 0, sizeof *draft);
    draft->policy.version_major = KNOWN_MAJOR;
    draft->policy.version_minor = KNOWN_MINOR;
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++)
        jump_policy_set(&draft->policy, (enum jump_policy_key)key, jump_policy_rows[key].preset);
}

static void take_version(struct jump_policy_draft *draft, const char *value, unsigned line)
{
    uint64_t major = 0, minor = 0;
    const char *at = value;
    if (draft->version_line != 0) {
        refuse_version(draft, line, value, "stands twice");
        return;
    }
    draft->version_line = line;
    bool ok = read_digits(&at, &major) && *at == '.';
    if (ok) {
        at++;
        ok = read_digits(&at, &minor) && *at == '\0';
    }
    if (!ok)
        refuse_version(draft, line, value, "not a version X.Y");
    else if (major != KNOWN_MAJOR || minor != KNOWN_MINOR)
        refuse_version(draft, line, value, "unknown version");
}

void jump_policy_take(struct jump_policy_draft *draft, const char *section, const char *key, const char *value,
                      unsigned line)
{
    if (section[0] == '\0' && strcmp(key, "version") == 0) {
        take_version(draft, value, line);
        return;
    }

    unsigned found = 0;
    bool section_known = false;
    for (; found < JUMP_POLICY_KEY_COUNT; found++) {
        bool here = strcmp(jump_policy_rows[found].section, section) == 0;
        section_known = section_known || here;
        if (here && strcmp(jump_policy_rows[found].key, key) == 0)
            break;
    }
    if (found == JUMP_POLICY_KEY_COUNT) {
        const char *problem = section_known || section[0] == '\0' ? "unknown key" : "unknown section";
        refuse(draft, line, section, key, value, NULL, problem);
        return;
    }

    const struct jump_policy_row *row = &jump_policy_rows[found];
    uint64_t number = 0;
    if (draft->line[found] != 0) {
        refuse(draft, line, section, key, value, row, "stands twice");
        return;
    }
    draft->line[found] = line;
    const char *problem = read_value(row->type, value, &number) ? row_problem(row, number)
                          : *value == '\0'                      ? "no value"
                                                               : not_a_value(row->type);
    if (problem != NULL)
        refuse(draft, line, section, key, value, row, problem);
    else
        jump_policy_set(&draft->policy, (enum jump_policy_key)found, (uint32_t)number);
}

/* What one key demands of another (model.md 6): `key` compared with factor x `other`. */
enum relation { AT_MOST, AT_LEAST, MORE_THAN };

static const struct bound {
    enum jump_policy_key key, other;
    enum relation relation;
    uint32_t factor;
} bounds[] = {
    {JUMP_POLICY_KEY_transport_lost_ttl_ms, JUMP_POLICY_KEY_max_lifetime_ms, AT_MOST, 1},
    {JUMP_POLICY_KEY_recovery_window_ms, JUMP_POLICY_KEY_transport_lost_ttl_ms, AT_MOST, 1},
    {JUMP_POLICY_KEY_idle_interval_ms, JUMP_POLICY_KEY_heartbeat_interval_ms, AT_LEAST, 1},
    {JUMP_POLICY_KEY_heartbeat_volatile_ms, JUMP_POLICY_KEY_heartbeat_interval_ms, MORE_THAN, 1},
    {JUMP_POLICY_KEY_key_max_age_ms, JUMP_POLICY_KEY_transport_lost_ttl_ms, MORE_THAN, 2},
};
#define BOUND_COUNT (sizeof bounds / sizeof bounds[0])

static bool bound_holds(const struct bound *bound, const struct jump_policy *policy)
{
    uint64_t value = jump_policy_value(policy, bound->key);
    uint64_t limit = (uint64_t)jump_policy_value(policy, bound->other) * bound->factor;
    switch (bound->relation) {
    case AT_MOST: return value <= limit;
    case AT_LEAST: return value >= limit;
    case MORE_THAN: return value > limit;
    }
    return false;
}

/*
 * A broken bound is reported where a person can mend it: at the key itself; if that one is a default, at the
 * explicit key that does not go with it, and then the relation is told from that key's side.
 */
static void refuse_bound(struct jump_policy_draft *draft, const struct bound *bound)
{
    static const char *const told[] = {[AT_MOST] = "<= ", [AT_LEAST] = ">= ", [MORE_THAN] = "> "};
    static const char *const told_back[] = {[AT_MOST] = ">= ", [AT_LEAST] = "<= ", [MORE_THAN] = "< "};
    bool own = draft->line[bound->key] != 0 || draft->line[bound->other] == 0;
    enum jump_policy_key blamed = own ? bound->key : bound->other;
    enum jump_policy_key against = own ? bound->other : bound->key;
    const struct jump_policy_row *row = &jump_policy_rows[blamed];

    struct jump_policy_error overflow;
    struct jump_policy_error *error =
        finding(draft, &overflow, draft->line[blamed],
                draft->line[against] != 0 ? "does not go with another key" : "does not go with another key's default");
    name_key(error, row->section, row->key);
    add_number(&(struct text){.bytes = error->value}, jump_policy_value(&draft->policy, blamed)); /* all of them are times */

    struct text range = {.bytes = error->range};
    add(&range, own ? told[bound->relation] : told_back[bound->relation]);
    if (own && bound->factor != 1) {
        add_number(&range, bound->factor);
        add(&range, " x ");
    }
    add(&range, jump_policy_rows[against].key);
    if (!own && bound->factor != 1) {
        add(&range, " / ");
        add_number(&range, bound->factor);
    }
    add(&range, " (");
    add_number(&range, jump_policy_value(&draft->policy, against));
    add(&range, ")");
}

/* True if the key's own value was refused or is missing: its default stands in, a second finding would confuse. */
static bool was_refused(const struct jump_policy_draft *draft, enum jump_policy_key key)
{
    const struct jump_policy_row *row = &jump_policy_rows[key];
    size_t section_len = strlen(row->section);
    unsigned kept = draft->error_count < JUMP_POLICY_MAX_ERRORS ? draft->error_count : JUMP_POLICY_MAX_ERRORS;
    for (unsigned i = 0; i < kept; i++) {
        const char *name = draft->errors[i].key;
        if (strncmp(name, row->section, section_len) == 0 && name[section_len] == '.' &&
            strcmp(name + section_len + 1, row->key) == 0)
            return true;
    }
    return false;
}

int jump_policy_finish(struct jump_policy_draft *draft)
{
    if (draft->version_line == 0)
        refuse_version(draft, 0, "", "missing");
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++) {
        const struct jump_policy_row *row = &jump_policy_rows[key];
        if (row->required && draft->line[key] == 0)
            refuse(draft, 0, row->section, row->key, "", row, "missing");
    }

    bool skip[BOUND_COUNT]; /* decided before the first finding about a bound: one must not hide another */
    for (size_t i = 0; i < BOUND_COUNT; i++)
        skip[i] = was_refused(draft, bounds[i].key) || was_refused(draft, bounds[i].other);
    for (size_t i = 0; i < BOUND_COUNT; i++)
        if (!skip[i] && !bound_holds(&bounds[i], &draft->policy))
            refuse_bound(draft, &bounds[i]);
    return draft->error_count == 0 ? 0 : JUMP_ERR_POLICY;
}

int jump_policy_valid(const struct jump_policy *policy)
{
    if (policy->version_major != KNOWN_MAJOR || policy->version_minor != KNOWN_MINOR)
        return JUMP_ERR_POLICY;
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++)
        if (row_problem(&jump_policy_rows[key], jump_policy_value(policy, (enum jump_policy_key)key)) != NULL)
            return JUMP_ERR_POLICY;
    for (size_t i = 0; i < BOUND_COUNT; i++)
        if (!bound_holds(&bounds[i], policy))
            return JUMP_ERR_POLICY;
    return 0;
}
