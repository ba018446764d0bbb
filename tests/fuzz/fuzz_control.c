/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target control: what somebody writes into the control socket (adapters/system/control.c).
 *
 * What an attacker gains here: whoever may open the socket (its group) can see and end sessions, and must not be able to do more:
 * stop the host's loop, make it grow, or end a session for a reason that is not an operator's. A peer's name stands in the
 * answers, and is the peer's own choice.
 *
 * Asserted: an answer is one line of valid JSON of bounded length, and says whether it went well; there is none only where
 * there was no whole request; a session is ended only by its 32 digits, which stand in the request, and for one of the two
 * reasons; the engine is as it was.
 *
 * Input: how many bytes go in at once; the length of the peer's name; the name; the request, in which '@' is a session's id.
 */
#include <errno.h>
#include <json-c/json.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "scratch.h"
#include "stage.h"
#include "system/control.h"

static struct scratch scratch;
static struct jump_control *control;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static char name[160], answer[JUMP_CONTROL_ANSWER_BYTES + 1];
static size_t answer_len;
static char request[2 * JUMP_CONTROL_REQUEST_BYTES];
static size_t request_len;
static jump_time now = JUMP_MS(1000000);

static int terminate(void *context, const struct jump_id *id, enum jump_reason reason)
{
    const struct jump_id *known = stage_id(STAGE_ATTACHED);
    (void)context;
    char digits[2 * JUMP_ID_BYTES + 1];
    bool stands = memchr(request, '\\', request_len) != NULL; /* JSON may write a digit in other ways */
    (void)sodium_bin2hex(digits, sizeof digits, id->bytes, sizeof id->bytes);
    for (size_t at = 0; !stands && at + sizeof digits - 1 <= request_len; at++)
        stands = strncasecmp(request + at, digits, sizeof digits - 1) == 0;
    FUZZ_MUST(stands);
    FUZZ_MUST(reason == JUMP_REASON_OPERATOR_TERMINATED || reason == JUMP_REASON_SECURITY_FAILURE);
    return memcmp(id, known, sizeof *id) == 0 ? 0 : JUMP_ERR_UNKNOWN;
}

static bool peer_name(void *context, jump_host host, char *out, size_t out_cap)
{
    (void)context, (void)host;
    return (size_t)snprintf(out, out_cap, "%s", name) < out_cap;
}

static void counters(void *context, jump_control_count *count, void *into)
{
    (void)context;
    count(into, "link", "in", 1);
    count(into, "link", "out", UINT64_MAX);
    count(into, "hold", "packets", 0);
}

/* The request as it is sent. */
static void expand(struct fuzz_bytes *in)
{
    request_len = 0;
    while (fuzz_left(in) > 0 && request_len + 2 * JUMP_ID_BYTES + 1 < sizeof request) {
        char c = (char)fuzz_u8(in);
        request[request_len++] = c;
        if (c != '@')
            continue;
        (void)sodium_bin2hex(request + request_len - 1, 2 * JUMP_ID_BYTES + 1, stage_id(STAGE_ATTACHED)->bytes, JUMP_ID_BYTES);
        request_len += 2 * JUMP_ID_BYTES - 1;
    }
}

static void end(void)
{
    jump_control_close(control);
    scratch_close(&scratch);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct jump_control_host host = { .engine = stage_set(STAGE_ATTACHED)->server, .name = "fuzz", .version = "0",
                                      .role = JUMP_SERVER, .terminate = terminate, .peer_name = peer_name, .counters = counters };
    struct jump_problem problem;
    (void)argc, (void)argv;
    scratch_open(&scratch);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s/s", scratch.folder);
    control = jump_control_open(&problem, address.sun_path, &host);
    FUZZ_MUST(control != NULL);
    (void)atexit(end);
    return 0;
}

static void serve(int fd)
{
    struct pollfd fds[JUMP_CONTROL_FDS];
    size_t len = jump_control_fds(control, fds, JUMP_CONTROL_FDS);
    FUZZ_MUST(len > 0 && poll(fds, len, 0) >= 0);
    jump_control_run(control, fds, len, now);
    for (ssize_t got; answer_len < sizeof answer && (got = recv(fd, answer + answer_len, sizeof answer - answer_len, MSG_DONTWAIT)) > 0;)
        answer_len += (size_t)got;
}

static void judge(bool asked)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *object, *ok = NULL;
    FUZZ_MUST(!asked || answer_len > 0);
    if (answer_len > 0) {
        FUZZ_MUST(answer_len <= JUMP_CONTROL_ANSWER_BYTES && memchr(answer, '\n', answer_len) == answer + answer_len - 1);
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        object = json_tokener_parse_ex(tokener, answer, (int)answer_len - 1);
        FUZZ_MUST(json_object_is_type(object, json_type_object) && json_tokener_get_parse_end(tokener) == answer_len - 1);
        FUZZ_MUST(json_object_object_get_ex(object, "ok", &ok) && json_object_is_type(ok, json_type_boolean));
        FUZZ_MUST(json_object_get_boolean(ok) || json_object_object_get_ex(object, "error", NULL));
        (void)json_object_put(object);
    }
    json_tokener_free(tokener);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes in = fuzz_bytes(data, size);
    struct peek_shot before, after;
    struct world *w = stage_set(STAGE_ATTACHED);
    size_t at_once = 1 + fuzz_u8(&in) * 16u, len;
    const uint8_t *bytes = fuzz_take(&in, &len, fuzz_u8(&in) % (sizeof name - 1));
    bool asked;
    memset(name, 0, sizeof name);
    if (len > 0)
        memcpy(name, bytes, len);
    peek_shoot(&before, w, true, 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    expand(&in);
    asked = memchr(request, '\n', request_len < JUMP_CONTROL_REQUEST_BYTES ? request_len : JUMP_CONTROL_REQUEST_BYTES) != NULL ||
            request_len >= JUMP_CONTROL_REQUEST_BYTES;
    answer_len = 0;
    serve(fd);
    for (size_t done = 0; done < request_len; done += len) {
        len = request_len - done < at_once ? request_len - done : at_once;
        if (send(fd, request + done, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break; /* it has answered and closed */
        serve(fd);
    }
    (void)shutdown(fd, SHUT_WR);
    serve(fd);
    judge(asked);
    (void)close(fd);
    now += JUMP_MS(6000);
    jump_control_run(control, NULL, 0, now); /* whoever is left is over its time */
    peek_shoot(&after, w, true, 0);
    FUZZ_MUST(peek_same_shot(&before, &after));
    return 0;
}
