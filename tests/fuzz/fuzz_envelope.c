/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target envelope: a datagram on charon's port, before charon sees it (adapters/strongswan/envelope.c).
 *
 * What an attacker gains here: bytes of anybody in the process that holds the IKE keys. Two envelopes for one message would let
 * him change what is taken for unchanged; an IKE message that is taken for ours never reaches charon.
 *
 * Asserted: what is opened is written again to the same bytes; what is refused leaves the outputs as they were; what is
 * opened is claimed, and nothing of the exchanges that RFC 7296 and its extensions have (34 to 44) ever is.
 *
 * Input: the IKE message, behind the marker of port 4500.
 */
#include <string.h>

#include "fuzz.h"
#include "strongswan/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[JUMP_SWAN_ENVELOPE_BYTES];
    size_t len = 4711;
    bool from_client = size & 1, before = from_client;
    bool claimed = jump_swan_envelope_claims(data, size);
    const uint8_t *message = jump_swan_envelope_open(data, size, &len, &from_client);
    FUZZ_MUST(!claimed || size < 19 || data[18] < 34 || data[18] > 44);
    if (message == NULL) {
        FUZZ_MUST(len == 4711 && from_client == before);
        return 0;
    }
    FUZZ_MUST(claimed);
    FUZZ_MUST(message == data + JUMP_SWAN_ENVELOPE_BYTES && len == size - JUMP_SWAN_ENVELOPE_BYTES);
    FUZZ_MUST(len >= JUMP_SWAN_MESSAGE_LEAST && len <= JUMP_MAX_DATAGRAM_BYTES);
    jump_swan_envelope_put(again, from_client, message, len);
    FUZZ_MUST(memcmp(again, data, sizeof again) == 0);
    return 0;
}
