#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The seeds of the corpora: one input of each kind, made from tests/vectors and from what is written down here.

  seeds.py          each must stand in tests/fuzz/corpus as it would be written
  seeds.py --write  write them

What fuzzers have found stands beside them and is not this script's; it looks that the whole stays small.
"""
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
CORPUS = os.path.join(HERE, 'corpus')
MOST_FILES, MOST_BYTES = 300, 200_000
TYPES = ('birth-offer', 'birth', 'birth-ack', 'probe', 'probe-ack', 'path-unbound', 'request', 'challenge', 'proof', 'accept',
         'deny', 'terminate', 'terminate-ack', 'redirect', 'cookie', 'reset')
TO_CLIENT, FULL_SIZE, OTHER_CLIENT, STRANGER, ELSEWHERE = 0x80, 0x40, 0x10, 0x20, 0x30


def vectors():
    found = {}
    with open(os.path.join(HERE, '..', 'vectors', 'vectors.txt'), encoding='utf-8') as file:
        for line in file:
            if ' = ' in line and not line.startswith('#'):
                name, value = line.split(' = ')
                found[name] = bytes.fromhex(value.strip())
    return found


def wire(known):
    """Messages with their bodies in the clear, as they are behind the AEAD."""
    for name in sorted(known):
        if not name.endswith('.message'):
            continue
        message, word = known[name], name.split('.')[0]
        plain = known.get(f'{word}.plain')
        yield word.replace('_', '-'), message if plain is None else message[:60] + plain + message[-16:]
    yield 'empty', b''
    yield 'version-2', b'\x23' + known['probe.message'][1:]
    yield 'flags-set', known['probe.message'][:1] + b'\x01' + known['probe.message'][2:]
    yield 'padding-not-zero', known['probe.message'][:60] + known['probe.plain'][:-1] + b'\x01' + bytes(16)
    yield 'one-byte-short', known['reattach_request.message'][:-1]


def message(kind, flags=0, how=0, place=0, deviation=b''):
    return bytes((TYPES.index(kind) | flags, how, place, len(deviation))) + deviation


def sealed(_):
    """One byte for the situation (stage.h), then messages as fuzz_sealed.c reads them."""
    situations = ('attached', 'lost-request', 'challenged', 'proved', 'birth', 'birth-acked', 'rekeying', 'ended-at-server',
                  'server-restarted', 'committing', 'unbound', 'switching', 'offered', 'flooded')
    for number, situation in enumerate(situations):
        yield f'{situation}-to-server', bytes((number,)) + message('probe') + message('request', STRANGER) + \
            message('proof', STRANGER) + message('birth') + message('proof') + message('terminate')
        yield f'{situation}-to-client', bytes((number,)) + b''.join(message(kind, TO_CLIENT) for kind in (
            'birth-ack', 'probe-ack', 'path-unbound', 'challenge', 'deny', 'cookie', 'reset', 'accept'))
    yield 'tag-broken-proof', bytes((2,)) + message('proof', how=16)
    yield 'replayed-counter', bytes((0,)) + message('probe', how=2) * 2
    yield 'highest-counter', bytes((0,)) + message('request', how=5) + message('request', how=6)
    yield 'from-the-other-clients-address', bytes((0,)) + message('request', OTHER_CLIENT) + message('proof', OTHER_CLIENT)
    wishes = b''.join((value ^ 1).to_bytes(4, 'big') for value in (86400000, 300000, 300000))  # mobile.ini's, each made 1
    yield 'wishes-below-the-least', bytes((12,)) + message('birth', place=10, deviation=wishes)
    yield 'counter-of-the-last-proof', bytes((3,)) + message('request', how=6) + message('request', STRANGER, how=6) + message('proof', STRANGER, how=6)
    yield 'proof-from-behind-the-same-nat', bytes((2,)) + message('proof', ELSEWHERE) + message('proof')
    yield 'genuine-reset', bytes((8,)) + message('reset', TO_CLIENT | FULL_SIZE)
    yield 'reset-of-the-same-boot', bytes((8,)) + message('reset', TO_CLIENT | FULL_SIZE, place=7, deviation=b'\x01')
    yield 'reset-with-a-wrong-mac', bytes((0,)) + message('reset', TO_CLIENT | FULL_SIZE, place=8, deviation=b'\x01')
    yield 'cookie-for-the-request', bytes((1,)) + message('cookie', TO_CLIENT | FULL_SIZE) * 2 + message('challenge', TO_CLIENT)
    yield 'cookie-for-the-probe', bytes((0,)) + message('cookie', TO_CLIENT | FULL_SIZE, how=64) * 2
    yield 'with-and-without-a-cookie', bytes((13,)) + message('request', STRANGER) + message('request', STRANGER, how=128) + \
        message('proof', STRANGER, how=128) + message('request', ELSEWHERE, how=128 | 32, deviation=b'') + b'\x2c\x01'
    yield 'accept-of-an-older-generation', bytes((3,)) + message('accept', TO_CLIENT, place=27, deviation=b'\x02') + \
        message('accept', TO_CLIENT)
    yield 'policy-out-of-range', bytes((4,)) + message('birth-ack', TO_CLIENT, place=87, deviation=b'\xff')
    yield 'full-size-probe', bytes((0,)) + message('probe', FULL_SIZE)


def stateful(_):
    """The situation, then operations with their arguments as fuzz_stateful.c reads them; bit 7 first: it must end well."""
    arrives, replayed, ms, busy, rebind, updown, hole = b'\x00', b'\x0f', b'\x10', b'\x12\x00', b'\x13\x00', b'\x14\x00', b'\x11'
    beat = busy + ms + b'\x64' + arrives * 3
    for number in range(14):
        yield f'heals-from-situation-{number}', bytes((0x80 | number,)) + beat
    yield 'rebinding', b'\x80' + rebind + beat * 12
    yield 'hole-of-ten-seconds', b'\x80' + updown + beat * 4 + hole + b'\x32' + updown + beat * 6
    yield 'copies-from-the-attacker-first', b'\x80' + rebind + (busy + ms + b'\x64' + b'\x05\x00\x01' + arrives * 2) * 12
    yield 'copies-from-behind-the-same-nat-first', b'\x80' + rebind + (busy + ms + b'\x64' + b'\x05\x00\x41' + arrives * 2) * 12
    yield 'everything-twice-and-replayed', b'\x80' + rebind + (busy + ms + b'\x64' + b'\x03\x00' * 2 + replayed + b'\x03\x80') * 12
    yield 'bits-turned-over', b'\x81' + (ms + b'\x64' + b'\x04\x00\x03\x00\x01' + b'\x04\x00\x40\x00\x80' + arrives) * 8
    yield 'rekeyed-on-both-sides-while-rebinding', b'\x80' + rebind + b'\x16\x01' + beat * 3 + b'\x16\x00' + beat * 6
    yield 'server-restarts', b'\x00' + b'\x17\x07' + beat * 8
    yield 'a-new-handshake-that-may-be-a-new-session', b'\x00' + b'\x16\x71\x16\x70' + beat * 6
    yield 'store-held-then-conflict', b'\x80' + b'\x1a\x01' + rebind + beat * 8 + b'\x1b\x01' + beat * 8
    yield 'a-day-passes', b'\x00' + b'\x1d\xff' + beat * 2


def policy(_):
    """The shipped profiles and faults that an administrator makes."""
    for name in ('strict', 'mobile', 'laptop'):
        with open(os.path.join(HERE, '..', '..', 'core', 'policy', f'{name}.ini'), 'rb') as file:
            yield name, b''.join(line for line in file if not line.startswith(b';'))
    required = b'version = 1.0\n[session]\nmax_lifetime_ms = 60000\ntransport_lost_ttl_ms = 60000\n' \
               b'[volatility]\nloss_volatile_threshold = 1\n[switching]\nmax_switches_per_min = 0\n' \
               b'recovery_window_ms = 500\n[security]\nreattach_proof_max_age_ms = 500\n'
    yield 'only-what-is-required', required
    yield 'byte-order-mark-and-crlf', b'\xef\xbb\xbf' + required.replace(b'\n', b'\r\n')
    yield 'out-of-range', required.replace(b'= 500', b'= 4294967296')
    yield 'unknown-and-doubled-keys', required + b'reattach_proof_max_age_ms = 500\nfoo = 1\n[bar\n=\n'
    yield 'control-characters', required + b'[transport]\nallowed_protocols = udp,\x1b[2J\x9b tcp\n\x00\n'
    yield 'long-line', required + b'k' * 200 + b' = 1\n'
    yield 'empty', b''


def events(*kinds):
    """What stands in lines of an audit file behind seq and prev."""
    head = b'"ts_ms":1,"mono_ns":%d,"event_type":"%s","session_id":"00112233445566778899aabbccddeeff","node_id":"n",' \
           b'"policy_version":"1.0","state_version":%d,'
    change = b'"previous_state":"%s","new_state":"%s","previous_mode":"%s","new_mode":"%s","role":"client","event":"%s","row":"%s",' \
             b'"reason_code":"%s","session_age_ms":7}'
    lines = {
        'begin': b'"ts_ms":1,"mono_ns":1,"event_type":"PolicyEvent","node_id":"n","policy_version":"1.0","state_version":0,'
                 b'"event":"audit_begin","cause":"new_file"}',
        'attached': head % (10, b'SessionStateChange', 1) + change % (b'BIRTH', b'ATTACHED', b'BIRTH', b'ATTACHED', b'attach_ok', b'T1',
                                                                     b'attached_to_transport'),
        'bound': head % (11, b'TransportAttached', 1) + b'"new_transport":"203.0.113.7:4711 udp","generation":1,"rtt_ms":20.900}',
        'dead': head % (10 ** 9, b'SessionStateChange', 2) + change % (b'ATTACHED', b'RECOVERING', b'ATTACHED', b'RECOVERING_UNBOUND',
                                                                      b'transport_dead', b'T4', b'transport_dead'),
        'dropped': head % (10 ** 9, b'EventsDropped', 4) + b'"dropped":2,"first_version":3,"last_version":4}',
        'raced': head % (10 ** 9, b'SecurityPathRace', 2) + b'"new_transport":"<b>\\u001b[2J\\u009b\\n","attempt":1}',
    }
    return b''.join(lines[kind] + b'\n' for kind in kinds)


def audit(_):
    """Lines that the harness chains; with 2 and four bytes first, it edits one place."""
    story = events('begin', 'attached', 'bound', 'dead', 'dropped', 'raced')
    yield 'a-story', b'\x01' + story
    for number, edit in enumerate(('a-byte', 'the-end-cut-off', 'a-line-removed', 'a-line-doubled', 'a-line-moved')):
        yield f'edited-{edit}', b'\x02' + bytes((number, 2, 0, 1)) + story
    yield 'not-chained', b'\x00' + story
    yield 'control-characters-in-what-replay-prints', b'\x00{' + events('attached').replace(
        b'00112233', b'\\u001b[2J').replace(b'"T1"', b'"\\u009b\\u0007"')
    yield 'markup-in-what-the-picture-says', b'\x00{' + events('attached', 'dead').replace(
        b'"T1"', b'"</title><script>"').replace(b'transport_dead"', b'<image>"')
    yield 'a-log-with-nothing-in-it', b'\x01'


def control(known):
    """Bytes at once (16 each), the length of the peer's name, the name, the request."""
    session = known['openvpn.session_id'].hex().encode()
    for name, request in (('sessions', b'{"command":"sessions"}'), ('sessions-after', b'{"command":"sessions","after":1}'),
                          ('stats', b'{"command":"stats"}'), ('version', b'{"command":"version"}'),
                          ('terminate', b'{"command":"terminate","session_id":"' + session + b'","reason":"security_failure"}'),
                          ('not-an-object', b'[1]'), ('nested-too-deep', b'{"command":{"a":{"b":{"c":{"d":1}}}}}')):
        yield name, b'\xff\x04name' + request + b'\n'
    for name, request in (('terminates', b'{"command":"terminate","session_id":"@"}'),
                          ('terminates-for-security', b'{"command":"terminate","session_id":"@","reason":"security_failure"}'),
                          ('terminate-for-another-reason', b'{"command":"terminate","session_id":"@","reason":"key_expired"}'),
                          ('terminate-by-fewer-digits', b'{"command":"terminate","session_id":"4cef1e78aa52bf15d09f4bec33f1ad"}'),
                          ('terminate-by-a-number', b'{"command":"terminate","session_id":12,"reason":[]}'),
                          ('unknown-command', b'{"command":"reboot"}'), ('no-command', b'{"command":1}'),
                          ('after-all', b'{"command":"sessions","after":-1}'), ('two-objects', b'{"command":"version"}{}')):
        yield name, b'\xff\x00' + request + b'\n'
    yield 'ends-without-a-line', b'\xff\x00{"command":"version"}'
    yield 'a-byte-order-of-pieces', b'\x00\x00' + b'{"command":"version"}\nmore'
    yield 'name-with-quotes-and-lines', b'\xff\x08"\n\\\x1b[2J\x7f' + b'{"command":"sessions"}\n'
    yield 'name-that-is-no-utf-8', b'\xff\x02\xff\x9b' + b'{"command":"sessions"}\n'
    yield 'too-long', b'\xff\x00' + b'{' * 4096


def state(_):
    head = b'jumping-audit-head 1 %020d %s %020d\n' % (7, b'ab' * 32, 0)
    yield 'nothing-there', bytes(4)
    yield 'all-there', b'\x0f\x20\x20\x02' + b'k' * 32 + b'a' * 32 + b'5\n' + head
    yield 'key-cut-short', b'\x01\x1f\x00\x00' + b'k' * 31
    yield 'boot-exhausted', b'\x04\x00\x00\x0b' + b'4294967295\n'
    yield 'boot-without-its-newline', b'\x04\x00\x00\x01' + b'5'
    yield 'boot-with-a-nul-behind-it', b'\x04\x00\x00\x03' + b'5\n\x00'
    yield 'boot-with-a-sign', b'\x04\x00\x00\x03' + b'+5\n'
    yield 'head-cut-short', b'\x0a\x00\x20\x00' + b'a' * 32 + head[:-1]
    yield 'head-with-capital-digits', b'\x0a\x00\x20\x00' + b'a' * 32 + head.replace(b'ab', b'AB')
    yield 'head-that-is-none', b'\x0a\x00\x20\x00' + b'a' * 32 + b'x' * len(head)
    yield 'head-without-its-key', b'\x08\x00\x00\x00' + head
    yield 'head-with-a-sign', b'\x0a\x00\x20\x00' + b'a' * 32 + head.replace(b' 00000000000000000007', b' +0000000000000000007')


def netlink(_):
    """Messages as the kernel packs them, of this machine's byte order: only x86 and its like replay them as they are meant."""
    def attribute(kind, content):
        return (4 + len(content)).to_bytes(2, 'little') + kind.to_bytes(2, 'little') + content + bytes(-len(content) % 4)

    def told(kind, content, sequence=0xffffffff):
        return (16 + len(content)).to_bytes(4, 'little') + kind.to_bytes(2, 'little') + bytes(2) + \
            sequence.to_bytes(4, 'little') + bytes(4) + content

    def number(value):
        return value.to_bytes(4, 'little')

    def datagram(*messages):
        content = b''.join(messages)
        return bytes((len(content) // 4 << 1,)) + content

    link = told(16, bytes(4) + number(2) + number(0x41) + bytes(4) + attribute(3, b'eth0\0'))
    tun = told(16, bytes(4) + number(3) + number(0x41) + bytes(4) + attribute(3, b't0\0') + attribute(18, attribute(1, b'tun\0')))
    address = told(20, b'\x02\x18\x80\x00' + number(2) + attribute(1, b'\x0a\0\0\1') + attribute(2, b'\x0a\0\0\1') +
                   attribute(8, number(0x80)))
    route = told(24, b'\x02\x20\0\0\xfe\x03\0\x01' + bytes(4) + attribute(4, number(2)) + attribute(7, b'\x0a\0\0\1') +
                 attribute(6, number(100)))
    rule = told(32, b'\x02\0\0\0\xfe\0\0\1' + bytes(4) + attribute(15, number(254)) + attribute(6, number(32766)))
    done, refused = told(3, bytes(4)), told(2, (0x100000000 - 101).to_bytes(4, 'little') + bytes(16))
    yield 'changes', b'\x00' + datagram(link, address) + datagram(route, rule) + b'\x00' + datagram(tun)
    yield 'uplinks', b'\x02' + datagram(route) + datagram(link) + datagram(link, tun, done) + datagram(route) * 4
    nobody = told(16, bytes(4) + number(0) + number(0x41) + bytes(4) + attribute(3, b'x\0'))
    yield 'links-without-a-number', b'\x02' + datagram(route) + datagram(link) + datagram(nobody, nobody, done) + datagram(route) * 6
    yield 'sole-choice', b'\x03' + datagram(route) + datagram(link) + datagram(link, done) + datagram(rule) + datagram(done) + datagram(route)
    for size in (0, 4, 8):
        yield f'a-link-of-{size}-bytes', b'\x00' + datagram(told(16, bytes(size)))
    yield 'an-address-that-is-cut-off', b'\x44' + datagram(told(24, b'\x02\x20\0\0\xfe\x03\0\x01' + bytes(4) + attribute(4, number(2)) +
                                                               attribute(7, b'')))
    yield 'a-metric-that-is-cut-off', b'\x03' + datagram(told(24, b'\x02\x20\0\0\xfe\x03\0\x01' + bytes(4) + attribute(4, number(2)) +
                                                             attribute(6, b'')))
    yield 'source-refused', b'\x04' + datagram(refused)
    yield 'source-of-a-flow', b'\x44' + datagram(route) * 3
    yield 'name', b'\x05' + datagram(link)
    yield 'from-another-sender', b'\x00' + bytes((datagram(link)[0] | 1,)) + datagram(link)[1:]


def envelope(known):
    for name in sorted(known):
        if name.startswith('strongswan_envelope.'):
            yield name.split('.')[1].replace('_', '-'), known[name]
    good = known['strongswan_envelope.from_client']
    yield 'ike-auth', good[:18] + b'\x23' + good[19:]
    yield 'length-does-not-agree', good[:27] + b'\x00' + good[28:]
    yield 'exchange-254', good[:18] + b'\xfe' + good[19:]


def demux(_):
    reset, data, envelope_byte, raw = b'\x80', b'\x88', b'\xa0', b'\x40'
    opened = b'\x08\x00\x00' + b'\x09\x00\x00'
    yield 'newcomer', b'\x00\x00' + reset
    yield 'session-moves', opened + b'\x09\x00\x01' + b'\x00\x01' + data + b'\x00\x00' + data + b'\x04\x00' + data
    yield 'voluntary-switch-and-its-second', opened + b'\x0a\x00\x01' + b'\x00\x00' + data + b'\x07\x0c' + b'\x00\x00' + data
    yield 'newcomer-on-a-shown-address', opened + b'\x09\x00\x01' + b'\x00\x00' + reset + b'\x04\x80' + data
    yield 'guest-on-a-bound-address', opened + b'\x00\x00' + reset + b'\x04\x80' + data + b'\x00\x00' + data
    yield 'unbound-then-fenced', opened + b'\x0b\x00\x00' + b'\x04\x00' + data + b'\x0c\x00\x00' + b'\x00\x00' + data
    yield 'control', opened + b'\x00\x02' + envelope_byte + b'\x00\x02' + raw
    numbered = b'\x0b\x00\x00\x05'
    yield 'number-of-an-unbound-session-from-elsewhere', opened + b'\x04\x00' + numbered + b'\x0b\x00\x00' + b'\x00\x01' + numbered
    yield 'number-of-a-session-from-elsewhere', opened + b'\x04\x00' + numbered + b'\x00\x01' + numbered + b'\x00\x00' + numbered
    yield 'from-nobodys-address', opened + b'\x00\x78' + data
    yield 'more-newcomers-than-there-is-room', opened + b'\x09\x00\x01' + b''.join(b'\x00\x00' + reset for _ in range(6))


def management(_):
    """How many ends, three bytes for each; then pieces of what OpenVPN says, each behind its length (8 each, and 1)."""
    header = b'HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tClient ID\tPeer ID\r\n'
    rows = b'CLIENT_LIST\tclient\t2001:db8::5\t10.8.0.2\t12\t3\r\n'

    def pieces(text):
        return b''.join(b'\x1e' + text[at:at + 241] for at in range(0, len(text), 241))
    yield 'kill-by-address', b'\x01\x08\x00\x05' + pieces(b'SUCCESS: 1 client(s)\r\n')
    yield 'client-kill-by-peer-id', b'\x01\x11\x03\x05' + pieces(header + rows + b'END\r\n')
    yield 'client-kill-by-name-and-tunnel', b'\x01\x16\x00\x05' + pieces(header + rows + rows.replace(b'12', b'13') + b'END\r\n')
    yield 'columns-not-known', b'\x01\x16\x00\x05' + pieces(rows + b'END\r\n')
    yield 'three-at-once', b'\x03\x11\x03\x05\x16\x00\x05\x08\x00\x05' + pieces(header + rows + b'END\r\n' + rows + b'END\r\n')
    yield 'own-rows-by-peer-id', b'\xf1\x01\x02\x01' + b'\x00' + b'\x05\x01\x06\x02'
    yield 'own-rows-by-name', b'\xf1\x20\x00\x01' + b'\x01' + b'\x09\x01' + b'\x06\x01'
    yield 'own-rows-only-a-longer-name', b'\xf1\x20\x00\x01' + b'\x01' + b'\x0a\x01'
    yield 'own-rows-by-tunnel', b'\xf2\x24\x00\x01\x28\x00\x02' + b'\x00' + b'\x14\x01' + b'\x24\x01' + b'\x44\x02'
    yield 'a-line-too-long', b'\x01\x11\x03\x05' + pieces(header + b'CLIENT_LIST\t' + b'x' * 2100 + b'\r\nEND\r\n')[:2900]


TARGETS = {'wire': wire, 'sealed': sealed, 'stateful': stateful, 'policy': policy, 'audit': audit, 'control': control, 'state': state,
           'netlink': netlink, 'envelope': envelope, 'demux': demux, 'management': management}


def main():
    write, faults, known = sys.argv[1:] == ['--write'], 0, vectors()
    for target, make in TARGETS.items():
        for name, content in make(known):
            path = os.path.join(CORPUS, target, name)
            if write:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, 'wb') as file:
                    file.write(content)
            elif not os.path.exists(path) or open(path, 'rb').read() != content:
                print(f'seeds.py: {target}/{name} is not as it would be written (seeds.py --write)')
                faults += 1
    sizes = [os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(CORPUS) for name in names]
    if len(sizes) >= MOST_FILES or sum(sizes) >= MOST_BYTES:
        print(f'seeds.py: {len(sizes)} inputs of {sum(sizes)} bytes: below {MOST_FILES} and {MOST_BYTES} are kept')
        faults += 1
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
