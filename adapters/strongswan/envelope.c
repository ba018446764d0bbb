/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The strongSwan envelope (envelope.h). Opening compares with what put would have written, so that the two cannot
 * drift apart and no field is forgotten. Read next: carrier.c.
 */
#include "envelope.h"

#include <string.h>

/* Where the fields of an IKE header stand: RFC 7296, 3.1. */
#define AT_VERSION 17u
#define AT_EXCHANGE 18u
#define AT_FLAGS 19u
#define AT_LENGTH 24u

#define VERSION_2_0 0x20u
#define FLAG_INITIATOR 0x08u
#define FLAG_RESPONSE 0x20u
/* Private use, RFC 7296 3.1: 240 to 255. The ends are left alone; 242 to 254 are kept for later versions. */
#define EXCHANGE 241u
#define EXCHANGE_LAST 254u

#define SPI_BYTES 16u     /* both of them */
#define MESSAGE_ID_AT 4u  /* the session id in a message */
_Static_assert(SPI_BYTES == JUMP_ID_BYTES, "a session id fills the two SPIs");

void jump_swan_envelope_put(uint8_t out[JUMP_SWAN_ENVELOPE_BYTES], bool from_client, const uint8_t *message,
                          size_t message_len)
{
    uint32_t total = (uint32_t)(JUMP_SWAN_ENVELOPE_BYTES + message_len);

    memset(out, 0, JUMP_SWAN_ENVELOPE_BYTES);
    memcpy(out, message + MESSAGE_ID_AT, SPI_BYTES);
    out[AT_VERSION] = VERSION_2_0;
    out[AT_EXCHANGE] = EXCHANGE;
    out[AT_FLAGS] = from_client ? FLAG_INITIATOR : FLAG_RESPONSE;
    for (unsigned i = 0; i < 4; i++)
        out[AT_LENGTH + i] = (uint8_t)(total >> (24 - 8 * i));
}

bool jump_swan_envelope_claims(const uint8_t *bytes, size_t bytes_len)
{
    return bytes_len > AT_EXCHANGE && bytes[AT_VERSION] == VERSION_2_0 && bytes[AT_EXCHANGE] >= EXCHANGE
           && bytes[AT_EXCHANGE] <= EXCHANGE_LAST;
}

const uint8_t *jump_swan_envelope_open(const uint8_t *bytes, size_t bytes_len, size_t *message_len, bool *from_client)
{
    uint8_t expected[JUMP_SWAN_ENVELOPE_BYTES];
    const uint8_t *message;
    bool client;

    if (bytes_len < JUMP_SWAN_ENVELOPE_BYTES + JUMP_SWAN_MESSAGE_LEAST
        || bytes_len > JUMP_SWAN_ENVELOPE_BYTES + JUMP_MAX_DATAGRAM_BYTES)
        return NULL;
    message = bytes + JUMP_SWAN_ENVELOPE_BYTES;
    client = bytes[AT_FLAGS] == FLAG_INITIATOR;
    jump_swan_envelope_put(expected, client, message, bytes_len - JUMP_SWAN_ENVELOPE_BYTES);
    if (memcmp(bytes, expected, sizeof expected) != 0)
        return NULL;
    *message_len = bytes_len - JUMP_SWAN_ENVELOPE_BYTES;
    *from_client = client;
    return message;
}
