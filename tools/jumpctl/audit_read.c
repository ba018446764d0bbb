/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads an audit file line by line, any bytes in it, and keeps things by session. It owns the buffer; it refuses
 * to judge a line: verify, replay and plot do, each its own way.
 * Read next: audit_verify.c, docs/audit.md.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <jumping/fsm.h>

#include "jumpctl.h"
#include "system/audit_file.h"

bool audit_read_open(struct audit_reader *reader, const char *path)
{
    memset(reader, 0, sizeof *reader);
    reader->path = path;
    reader->stream = fopen(path, "re");
    if (reader->stream == NULL)
        (void)jumpctl_error("cannot read %s: %s", path, strerror(errno));
    return reader->stream != NULL;
}

static struct json_object *parse(const char *text, size_t len)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *object = NULL;

    if (tokener == NULL || len > INT32_MAX)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    object = json_tokener_parse_ex(tokener, text, (int)len);
    if (object != NULL && (json_tokener_get_parse_end(tokener) != len || !json_object_is_type(object, json_type_object))) {
        (void)json_object_put(object);
        object = NULL;
    }
    json_tokener_free(tokener);
    return object;
}

const struct audit_line *audit_read_next(struct audit_reader *reader, bool *failed)
{
    struct audit_line *line = &reader->line;
    ssize_t got;

    (void)json_object_put(line->object);
    line->object = NULL;
    errno = 0;
    got = getline(&reader->buffer, &reader->buffer_cap, reader->stream);
    if (got < 0) {
        if (ferror(reader->stream) || errno == ENOMEM) {
            (void)jumpctl_error("cannot read on in %s: %s", reader->path, strerror(errno));
            *failed = true;
        }
        return NULL;
    }
    line->number++;
    line->torn = reader->buffer[got - 1] != '\n';
    line->text = reader->buffer;
    line->len = (size_t)got - (line->torn ? 0 : 1);
    line->object = parse(line->text, line->len);
    line->chained = jump_audit_file_prefix(&line->seq, line->prev, line->text, line->len);
    return line;
}

void audit_read_close(struct audit_reader *reader)
{
    (void)json_object_put(reader->line.object);
    if (reader->stream != NULL)
        (void)fclose(reader->stream);
    free(reader->buffer);
    memset(reader, 0, sizeof *reader);
}

static struct json_object *field(const struct audit_line *line, const char *key)
{
    struct json_object *value = NULL;

    return line->object != NULL && json_object_object_get_ex(line->object, key, &value) ? value : NULL;
}

const char *audit_text(const struct audit_line *line, const char *key, const char *fallback)
{
    struct json_object *value = field(line, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : fallback;
}

uint64_t audit_number(const struct audit_line *line, const char *key, uint64_t fallback)
{
    struct json_object *value = field(line, key);

    return json_object_is_type(value, json_type_int) ? json_object_get_uint64(value) : fallback;
}

double audit_fraction(const struct audit_line *line, const char *key, double fallback)
{
    struct json_object *value = field(line, key);

    return json_object_is_type(value, json_type_double) || json_object_is_type(value, json_type_int)
               ? json_object_get_double(value)
               : fallback;
}

bool audit_has(const struct audit_line *line, const char *key)
{
    return field(line, key) != NULL;
}

int audit_mode(const struct audit_line *line, const char *key)
{
    const char *name = audit_text(line, key, "");

    for (int mode = 0; mode < JUMP_MODE_COUNT; mode++)
        if (strcmp(name, jump_mode_name((enum jump_mode)mode)) == 0)
            return mode;
    return -1;
}

static int compare(const void *left, const void *right)
{
    return strcmp(left, right); /* both begin with the key */
}

/* Two sides of one session have one id: their nodes tell them apart, where both logs are read. */
static uint32_t side_of(const struct audit_line *line)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (const char *at = audit_text(line, "node_id", ""); *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return hash & 0xffffffu;
}

void *audit_session(void **root, bool *made, const struct audit_line *line, size_t bytes)
{
    const char *id = audit_text(line, "session_id", NULL);
    const char *const *found;
    char *entry;

    *made = false;
    if (id == NULL || (entry = calloc(1, bytes)) == NULL)
        return NULL;
    (void)snprintf(entry, AUDIT_KEY_BYTES, "%.*s/%06" PRIx32, 2 * JUMP_ID_BYTES, id, side_of(line));
    found = tsearch(entry, root, compare);
    if (found == NULL || *found != entry)
        free(entry);
    else
        *made = true;
    return found == NULL ? NULL : (void *)(uintptr_t)*found;
}
