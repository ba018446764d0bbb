#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol of docs/protocol.md once more, in the standard library alone, to make tests/vectors/vectors.txt.

It shares no line with core/ and was written from the page, so that a mistake has to be made twice to stay unseen.
ChaCha20, HChaCha20 and Poly1305 stand here; they are checked against RFC 8439 and the XChaCha draft before
anything is written. BLAKE2b is hashlib's. Slow, and not constant in time: never use it for anything but this.

    reference.py > vectors.txt
"""
import hashlib
import hmac
import struct
import sys

# --- ChaCha20 and Poly1305: RFC 8439 ---------------------------------------------------------------------------

WORD = 0xFFFFFFFF
CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)


def quarter_round(s, a, b, c, d):
    for first, second, turned, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[first] = (s[first] + s[second]) & WORD
        x = s[turned] ^ s[first]
        s[turned] = ((x << by) | (x >> (32 - by))) & WORD


def twenty_rounds(s):
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter_round(s, a, b, c, d)


def chacha20_block(key, counter, nonce):
    start = list(CONSTANTS) + list(struct.unpack("<8L", key)) + [counter] + list(struct.unpack("<3L", nonce))
    s = list(start)
    twenty_rounds(s)
    return struct.pack("<16L", *((x + y) & WORD for x, y in zip(s, start)))


def chacha20(key, counter, nonce, data):
    out = bytearray()
    for at in range(0, len(data), 64):
        block = chacha20_block(key, counter + at // 64, nonce)
        out += bytes(x ^ y for x, y in zip(data[at:at + 64], block))
    return bytes(out)


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(data), 16):
        block = data[at:at + 16]
        total = (total + int.from_bytes(block + b"\x01", "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key[16:], "little")) % (1 << 128)).to_bytes(16, "little")


def aead_seal(key, nonce, plain, clear):
    def to_16(data):
        return data + bytes(-len(data) % 16)

    sealed = chacha20(key, 1, nonce, plain)
    one_time_key = chacha20_block(key, 0, nonce)[:32]
    lengths = struct.pack("<QQ", len(clear), len(sealed))
    return sealed + poly1305(one_time_key, to_16(clear) + to_16(sealed) + lengths)


# --- XChaCha20: draft-irtf-cfrg-xchacha ------------------------------------------------------------------------


def hchacha20(key, nonce):
    s = list(CONSTANTS) + list(struct.unpack("<8L", key)) + list(struct.unpack("<4L", nonce))
    twenty_rounds(s)
    return struct.pack("<8L", *(s[0:4] + s[12:16]))


def xaead_seal(key, nonce, plain, clear):
    return aead_seal(hchacha20(key, nonce[:16]), bytes(4) + nonce[16:], plain, clear)


def check_primitives():
    """Each of the published examples, or nothing is written."""
    h = bytes.fromhex
    counting = bytes(range(32))
    sunscreen = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                 b"sunscreen would be it.")
    aead_key = bytes(range(0x80, 0xA0))
    aead_clear = h("50515253c0c1c2c3c4c5c6c7")

    s = [0x11111111, 0x01020304, 0x9B8D6F43, 0x01234567]
    quarter_round(s, 0, 1, 2, 3)
    examples = [
        ("RFC 8439, 2.1.1: quarter round", struct.pack(">4L", *s), "ea2a92f4cb1cf8ce4581472e5881c4bb"),
        ("RFC 8439, 2.3.2: block", chacha20_block(counting, 1, h("000000090000004a00000000")),
         "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
         "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"),
        ("RFC 8439, 2.4.2: encryption", chacha20(counting, 1, h("000000000000004a00000000"), sunscreen),
         "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"
         "f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8"
         "07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736"
         "5af90bbf74a35be6b40b8eedf2785e42874d"),
        ("RFC 8439, 2.5.2: Poly1305",
         poly1305(h("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"),
                  b"Cryptographic Forum Research Group"), "a8061dc1305136c6c22b8baf0c0127a9"),
        ("RFC 8439, 2.8.2: AEAD", aead_seal(aead_key, h("070000004041424344454647"), sunscreen, aead_clear),
         "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
         "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
         "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
         "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"),
        ("XChaCha draft, 2.2.1: HChaCha20", hchacha20(counting, h("000000090000004a0000000031415927")),
         "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"),
        ("XChaCha draft, A.3.1: AEAD", xaead_seal(aead_key, bytes(range(0x40, 0x58)), sunscreen, aead_clear),
         "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
         "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
         "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
         "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"),
        ("RFC 7693, A: BLAKE2b-512", hashlib.blake2b(b"abc").digest(),
         "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
         "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"),
    ]
    for name, got, expected in examples:
        if got.hex() != expected:
            sys.exit(f"reference.py: {name}: {got.hex()} is not {expected}")


# --- Keys: docs/protocol.md 3 ----------------------------------------------------------------------------------


def parts(*list_of_parts):
    return b"".join(struct.pack(">H", len(part)) + part for part in list_of_parts)


def derive(root, label, length):
    return hashlib.blake2b(label, key=root, digest_size=length).digest()


def session_id(host_kind, secret):
    root = hashlib.blake2b(parts(b"jumping v1 session", bytes([host_kind]), secret), digest_size=32).digest()
    return derive(root, b"id", 16)


def epoch_root(sid, secret):
    return hashlib.blake2b(parts(b"jumping v1 epoch", sid, secret), digest_size=32).digest()


def raw_fingerprint(root):
    return derive(root, b"fingerprint", 16)[:2]


def epoch_keys(sid, secret):
    root = epoch_root(sid, secret)
    fingerprint = raw_fingerprint(root)
    if fingerprint == b"\x00\x00":  # which would mean "none"
        fingerprint = b"\x00\x01"
    return derive(root, b"c2s", 32), derive(root, b"s2c", 32), fingerprint


def reset_key_of(instance_key, sid):
    return hashlib.blake2b(parts(b"jumping v1 reset", sid), key=instance_key, digest_size=32).digest()


def prf_plus(hash_name, key, seed, length):
    """RFC 7296, 2.13, for the PRFs that are HMACs."""
    block, out = b"", b""
    for count in range(1, 256):
        block = hmac.digest(key, block + seed + bytes([count]), hash_name)
        out += block
        if len(out) >= length:
            return out[:length]
    sys.exit("reference.py: prf+ has no more than 255 blocks")


# --- Challenge, cookie, RESET, audit: docs/protocol.md 4 -------------------------------------------------------


def path_bytes(ip, scope, port, protocol):
    return ip + struct.pack(">LHB", scope, port, protocol)


def challenge_of(key, sid, attempt, path, bucket):
    data = b"challenge" + sid + struct.pack(">Q", attempt) + path + struct.pack(">Q", bucket)
    return hashlib.blake2b(data, key=key, digest_size=16).digest()


def cookie_of(key, path, bucket):
    return hashlib.blake2b(b"cookie" + path + struct.pack(">Q", bucket), key=key, digest_size=16).digest()


def reset_mac(reset_key, boot, nonce):
    return hashlib.blake2b(struct.pack(">Q", boot) + nonce, key=reset_key, digest_size=16).digest()


def audit_link(key, line):
    return hashlib.blake2b(line, key=key, digest_size=32).digest()


# --- Messages: docs/protocol.md 2 ------------------------------------------------------------------------------

KEYS = [("keys0", 2), ("keys1", 2)]
OBSERVED = [("observed_ip", 16), ("observed_port", 2)]
POLICY = [("version_major", 2), ("version_minor", 2)] + [(name, 4) for name in (
    "max_lifetime_ms transport_lost_ttl_ms birth_window_ms heartbeat_interval_ms idle_interval_ms "
    "heartbeat_volatile_ms loss_window_ms loss_volatile_threshold max_consecutive_drops volatile_to_degraded_ms "
    "stable_window_ms latency_volatile_threshold_ms max_switches_per_min switch_cooldown_ms recovery_window_ms "
    "hysteresis_margin allowed_protocols max_candidates reattach_proof_max_age_ms replay_window "
    "key_max_age_ms").split()]
TERMINATE = KEYS + [("reason", 1), ("state_version", 8)]

# name: type, whole length, fields
MESSAGES = {
    "birth_offer": (0, 82, KEYS + [("version_least", 1), ("version_most", 1)]),
    "birth": (1, 320, KEYS + [("version_least", 1), ("version_most", 1), ("capabilities", 4),
                              ("want_lifetime_ms", 4), ("want_ttl_ms", 4), ("want_window_ms", 4)]),
    "birth_ack": (2, 243, KEYS + [("version_chosen", 1), ("state_version", 8), ("generation", 8), ("reset_key", 32),
                                  ("boot", 8)] + OBSERVED + [("policy." + name, size) for name, size in POLICY]),
    "probe": (3, 144, KEYS + [("seq", 8), ("sent_at", 8), ("transport", 1), ("claims_binding", 1), ("generation", 8),
                              ("received", 4), ("next_within_ms", 4)]),
    "probe_ack": (4, 110, KEYS + [("seq", 8), ("sent_at", 8), ("received", 4), ("bound", 1), ("state", 1),
                                  ("state_version", 8)]),
    "path_unbound": (5, 104, KEYS + [("seq", 8), ("generation", 8), ("state_version", 8)]),
    "reattach_request": (6, 144, KEYS + [("attempt", 8), ("state_version", 8), ("generation", 8), ("why", 1),
                                         ("voluntary", 1), ("transport", 1), ("protocol", 1)]),
    "reattach_challenge": (7, 138, KEYS + [("attempt", 8), ("challenge", 16)] + OBSERVED +
                           [("state_version", 8), ("generation", 8)]),
    "reattach_proof": (8, 144, KEYS + [("attempt", 8), ("challenge", 16), ("generation", 8), ("why", 1),
                                       ("voluntary", 1), ("transport", 1), ("protocol", 1), ("nat_seen", 1)]),
    "reattach_accept": (9, 122, KEYS + [("attempt", 8), ("state_version", 8), ("generation", 8)] + OBSERVED),
    "reattach_deny": (10, 109, KEYS + [("attempt", 8), ("reason", 1), ("retry_after_ms", 4), ("state_version", 8),
                                       ("generation", 8)]),
    "terminate": (11, 89, TERMINATE),
    "terminate_ack": (12, 89, TERMINATE),
}
TYPE_COOKIE, TYPE_RESET = 14, 15
PROBE_FULL = 1300


def strongswan_envelope(from_client, message):
    """R-63: an IKE header whose two SPIs are the message's session id."""
    return struct.pack(">16sBBBBLL", message[4:20], 0, 0x20, 241, 0x08 if from_client else 0x20, 0,
                       28 + len(message)) + message


def header(message_type, epoch, sid, nonce, cookie):
    return bytes([0x10 | message_type, 0]) + epoch + sid + nonce + cookie


def field_value(case, name, size):
    """Any bytes will do that are fixed, differ from field to field and have no zero: a keyed hash of the name."""
    raw = hashlib.blake2b(f"{case} {name}".encode(), digest_size=size).digest()
    return bytes(byte or 0xA5 for byte in raw)


class Vectors:
    def __init__(self):
        self.lines = []

    def say(self, text=""):
        self.lines.append("# " + text if text else "")

    def put(self, name, value):
        self.lines.append(f"{name} = {value.hex()}")

    def get(self, name):
        return bytes.fromhex(next(line.split(" = ")[1] for line in self.lines if line.startswith(name + " = ")))


def fixed(label, length=32):
    """Inputs: nobody's secrets, written down by a rule that anybody can repeat."""
    return hashlib.blake2b(b"jumping test vector: " + label.encode(), digest_size=length).digest()


def sealed_case(v, case, message_type, length, fields, from_client, keys, sid, counter):
    c2s, s2c, epoch = keys
    nonce = struct.pack(">Q", counter) + fixed("client process" if from_client else "server process", 16)
    cookie = fixed("cookie field", 16) if from_client else bytes(16)
    clear = header(message_type, epoch, sid, nonce, cookie)
    values = [(name, field_value(case, name, size)) for name, size in fields]
    plain = b"".join(value for _, value in values)
    plain += bytes(length - 60 - 16 - len(plain))
    v.say()
    v.put(case + ".type", bytes([message_type]))
    v.put(case + ".from_client", bytes([from_client]))
    v.put(case + ".epoch", epoch)
    v.put(case + ".nonce", nonce)
    v.put(case + ".cookie", cookie)
    for name, value in values:
        v.put(f"{case}.body.{name}", value)
    v.put(case + ".plain", plain)
    v.put(case + ".message", clear + xaead_seal(c2s if from_client else s2c, nonce, plain, clear))


def write(v):
    v.say("Known answers of the reattach protocol, version 1 (docs/protocol.md 10).")
    v.say("Origin and generator: tests/vectors/reference.py, an implementation apart from core/, standard library only.")
    v.say("Each line is a name and bytes in hexadecimal. Made by: reference.py > vectors.txt; do not edit.")

    v.say()
    v.say("Keys (3): secret -> session id -> keys of an epoch; c2s, s2c and the fingerprint")
    first, second = fixed("first secret"), fixed("second secret")
    sid = None
    for host, kind in (("openvpn", 1), ("strongswan", 2)):
        sid_here = session_id(kind, first)
        sid = sid or sid_here
        v.put(host + ".host_kind", bytes([kind]))
        v.put(host + ".secret", first)
        v.put(host + ".session_id", sid_here)
    keys = epoch_keys(sid, first)
    v.say("epoch_zero: its raw fingerprint is 00 00, which becomes 00 01")
    secrets = (fixed(f"fingerprint {n}") for n in range(1 << 24))
    zero = next(secret for secret in secrets if not any(raw_fingerprint(epoch_root(sid, secret))))
    for epoch, secret in (("epoch0", first), ("epoch1", second), ("epoch_zero", zero)):
        c2s, s2c, fingerprint = epoch_keys(sid, secret)
        v.put(epoch + ".secret", secret)
        v.put(epoch + ".c2s", c2s)
        v.put(epoch + ".s2c", s2c)
        v.put(epoch + ".fingerprint", fingerprint)
    instance_key = fixed("instance key")
    reset_key = reset_key_of(instance_key, sid)
    v.put("reset_key.instance_key", instance_key)
    v.put("reset_key.key", reset_key)
    seed = fixed("seed")
    v.put("derive.root", seed)
    for label, length in (("process", 16), ("hash", 16), ("challenge", 32), ("cookie", 32)):
        v.put("derive." + label, derive(seed, label.encode(), length))

    v.say()
    v.say("Challenge, cookie, RESET's proof, audit link (4)")
    ip, scope, port, protocol = bytes.fromhex("fe800000000000000102030405060708"), 0x0A0B0C0D, 0xC0DE, 1
    path = path_bytes(ip, scope, port, protocol)
    v.put("path.ip", ip)
    v.put("path.scope", struct.pack(">L", scope))
    v.put("path.port", struct.pack(">H", port))
    v.put("path.protocol", bytes([protocol]))
    attempt, bucket, boot = 0x1122334455667788, 0x0123456789ABCDEF, 0x0000000700000003
    challenge_key, cookie_key = fixed("challenge key"), fixed("cookie key")
    v.put("challenge.key", challenge_key)
    v.put("challenge.attempt", struct.pack(">Q", attempt))
    v.put("challenge.bucket", struct.pack(">Q", bucket))
    v.put("challenge.challenge", challenge_of(challenge_key, sid, attempt, path, bucket))
    v.put("cookie.key", cookie_key)
    v.put("cookie.bucket", struct.pack(">Q", bucket))
    v.put("cookie.cookie", cookie_of(cookie_key, path, bucket))
    nonce = struct.pack(">Q", 0x0102030405060708) + fixed("client process", 16)
    v.put("reset.boot", struct.pack(">Q", boot))
    v.put("reset.nonce", nonce)
    v.put("reset.mac", reset_mac(reset_key, boot, nonce))
    audit_key = fixed("audit key")
    line = b'{"event_type":"SessionStateChange","state_version":1}'
    v.put("audit.key", audit_key)
    v.put("audit.line", line)
    v.put("audit.link", audit_link(audit_key, line))
    v.put("audit.link_of_nothing", audit_link(audit_key, b""))

    v.say()
    v.say("Messages (2), all of session openvpn.session_id. Sealed ones under epoch0; every field is set.")
    counter = 0x0102030405060708
    for name, (message_type, length, fields) in MESSAGES.items():
        both = name in ("terminate", "terminate_ack")
        client = name in ("birth", "probe", "reattach_request", "reattach_proof")
        for from_client in (True, False) if both else (client,):
            case = name + ("_from_client" if from_client else "_from_server") if both else name
            sealed_case(v, case, message_type, length, fields, from_client, keys, sid, counter)
            counter += 0x0100000000000001
        if name == "probe":
            sealed_case(v, "probe_full", message_type, PROBE_FULL, fields, True, keys, sid, counter)
            counter += 0x0100000000000001
    v.say()
    v.put("cookie.nonce", nonce)
    v.put("cookie.message", header(TYPE_COOKIE, keys[2], sid, nonce, cookie_of(cookie_key, path, bucket)))
    v.put("reset.message", header(TYPE_RESET, keys[2], sid, nonce, bytes(16)) + struct.pack(">Q", boot) +
          reset_mac(reset_key, boot, nonce))

    v.say()
    v.say("Envelope of strongSwan (1): probe.message and birth_offer.message as they travel there")
    for name, message, from_client in (("from_client", "probe", True), ("from_server", "birth_offer", False)):
        v.put("strongswan_envelope." + name, strongswan_envelope(from_client, v.get(message + ".message")))
    v.say("Secret of strongSwan (R-66) with PRF_HMAC_SHA2_256, and with PRF_HMAC_SHA1, which needs two blocks")
    for hash_name, length in (("sha256", 32), ("sha1", 20)):
        sk_d = fixed("SK_d " + hash_name, length)
        v.put(f"strongswan_{hash_name}.sk_d", sk_d)
        v.put(f"strongswan_{hash_name}.secret", prf_plus(hash_name, sk_d, b"jumping v1 secret", 32))


def main():
    if len(sys.argv) != 1:
        sys.exit("usage: reference.py > vectors.txt")
    check_primitives()
    v = Vectors()
    write(v)
    print("\n".join(v.lines))


if __name__ == "__main__":
    main()
