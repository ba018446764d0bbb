/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target wire: the bytes of one datagram, as anybody on the network can send them (core/wire.c).
 *
 * What an attacker gains here: this is the first code that meets unauthenticated bytes. A read or write out of bounds is
 * the whole process; two encodings of one message would let a changed message pass for the one that was signed.
 *
 * Asserted: what is read is written back to the same bytes, header and body; a message that is read has the one length of
 * its type; a refused header leaves the output as it was; a body is read the same way whatever stood in the output before.
 *
 * Input: the datagram. Its body is taken as plaintext, as it would be behind the AEAD; the first byte's type also reads all
 * bytes behind it as a body, so that bodies of every length are met.
 */
#include <string.h>

#include "fuzz.h"
#include "wire.h"

#define FILLED 0xa5

/* `behind`: bytes of the datagram behind the body. */
static void body(uint8_t type, const uint8_t *bytes, size_t len, size_t behind)
{
    struct jump_body first, second;
    (void)behind;
    memset(&first, FILLED, sizeof first);
    memset(&second, 0, sizeof second);
    int verdict = jump_wire_get_body(&first, type, bytes, len);
    FUZZ_MUST(verdict == 0 || verdict == JUMP_ERR_MALFORMED);
    FUZZ_MUST(jump_wire_get_body(&second, type, bytes, len) == verdict);
    if (verdict != 0)
        return;
    FUZZ_MUST(memcmp(&first, &second, sizeof first) == 0);
#ifdef JUMP_FUZZ_PLANT /* one byte too many, behind some values of one field of one type: tools/proof fuzz must find it */
    if (type == JUMP_MSG_REATTACH_DENY && (first.reason & 0xe0) == 0x20)
        printf("%u\n", bytes[len + behind]);
#endif
    uint8_t *again = malloc(len + 1);
    FUZZ_MUST(again != NULL);
    again[len] = FILLED;
    jump_wire_put_body(again, len, type, &first);
    FUZZ_MUST(len == 0 || memcmp(again, bytes, len) == 0);
    FUZZ_MUST(again[len] == FILLED);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jump_header header, untouched;
    uint8_t again[JUMP_HEADER_BYTES];
    memset(&header, FILLED, sizeof header);
    memset(&untouched, FILLED, sizeof untouched);
    if (size > 0)
        body(data[0] & 15, data + 1, size - 1, 0);
    if (jump_wire_get_header(&header, data, size) != 0) {
        FUZZ_MUST(memcmp(&header, &untouched, sizeof header) == 0);
        return 0;
    }
    FUZZ_MUST(size <= JUMP_MAX_MESSAGE_BYTES);
    FUZZ_MUST(size == jump_wire_length(header.type) || (header.type == JUMP_MSG_PROBE && size == JUMP_PROBE_FULL_BYTES));
    FUZZ_MUST(jump_wire_from_client(header.type) || jump_wire_from_server(header.type));
    jump_wire_put_header(again, &header);
    FUZZ_MUST(memcmp(again, data, sizeof again) == 0);
    if (header.type != JUMP_MSG_COOKIE && header.type != JUMP_MSG_RESET) {
        FUZZ_MUST(size > JUMP_HEADER_BYTES + JUMP_TAG_BYTES);
        body(header.type, data + JUMP_HEADER_BYTES, size - JUMP_HEADER_BYTES - JUMP_TAG_BYTES,
             JUMP_TAG_BYTES);
    }
    return 0;
}
