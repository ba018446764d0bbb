/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The envelope around a message when it travels through charon's own socket: an IKE header (docs/protocol.md 1, R-63).
 * Pure: bytes in, bytes out. It refuses to know charon, sockets and the marker before an IKE message on port 4500; those
 * are carrier.c's. THREAD: any; no state.
 */
#ifndef JUMP_STRONGSWAN_ENVELOPE_H
#define JUMP_STRONGSWAN_ENVELOPE_H

#include <jumping/types.h>

#define JUMP_SWAN_ENVELOPE_BYTES 28u
#define JUMP_SWAN_MESSAGE_LEAST 60u /* a header: COOKIE is nothing else */

/**
 * Write the envelope that belongs before this message.
 *
 * @param message     one whole message, borrowed: its session id is repeated in the envelope
 * @param message_len at least a message's header, at most JUMP_MAX_DATAGRAM_BYTES
 */
void jump_swan_envelope_put(uint8_t out[JUMP_SWAN_ENVELOPE_BYTES], bool from_client, const uint8_t *message,
                          size_t message_len);

/**
 * True if an IKE message (behind the marker, where there is one) is kept from charon, whatever else is wrong with it:
 * version 2.0 and an exchange type of 241 to 254. Never true for what RFC 7296 or an extension of it may send.
 */
bool jump_swan_envelope_claims(const uint8_t *bytes, size_t bytes_len);

/**
 * Take the envelope off.
 *
 * @return the message inside `bytes`; NULL: some field is not what R-63 says, or the lengths do not agree. Outputs are
 *         left unchanged then.
 */
const uint8_t *jump_swan_envelope_open(const uint8_t *bytes, size_t bytes_len, size_t *message_len, bool *from_client);

#endif
