#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The seeds of the corpora: one input of each kind, made from tests/vectors and from what is written down here.

  seeds.py          each must stand in tests/fuzz/corpus as it would be written
  seeds.py --write  write them

What fuzzers have found stands beside them and is not this script's.
"""
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
CORPUS = os.path.join(HERE, 'corpus')
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


def message(kind, flags=0, how=0, deviation=b''):
    return bytes((TYPES.index(kind) | flags, how, len(deviation))) + deviation


def sealed(_):
    """One byte for the situation (stage.h), then messages as fuzz_sealed.c reads them."""
    situations = ('attached', 'lost-request', 'challenged', 'proved', 'birth', 'birth-acked', 'rekeying', 'ended-at-server',
                  'server-restarted', 'committing', 'unbound', 'switching')
    for number, situation in enumerate(situations):
        yield f'{situation}-to-server', bytes((number,)) + message('probe') + message('request', STRANGER) + \
            message('proof', STRANGER) + message('birth') + message('proof') + message('terminate')
        yield f'{situation}-to-client', bytes((number,)) + b''.join(message(kind, TO_CLIENT) for kind in (
            'birth-ack', 'probe-ack', 'path-unbound', 'challenge', 'deny', 'cookie', 'reset', 'accept'))
    yield 'tag-broken-proof', bytes((2,)) + message('proof', how=16)
    yield 'replayed-counter', bytes((0,)) + message('probe', how=2) * 2
    yield 'highest-counter', bytes((0,)) + message('request', how=5) + message('request', how=6)
    yield 'from-the-other-clients-address', bytes((0,)) + message('request', OTHER_CLIENT) + message('proof', OTHER_CLIENT)
    yield 'full-size-probe', bytes((0,)) + message('probe', FULL_SIZE)


def stateful(_):
    """The situation, then operations with their arguments as fuzz_stateful.c reads them; bit 7 first: it must end well."""
    arrives, replayed, ms, busy, rebind, updown, hole = b'\x00', b'\x0f', b'\x10', b'\x12\x00', b'\x13\x00', b'\x14\x00', b'\x11'
    beat = busy + ms + b'\x64' + arrives * 3
    for number in range(12):
        yield f'heals-from-situation-{number}', bytes((0x80 | number,)) + beat
    yield 'rebinding', b'\x80' + rebind + beat * 12
    yield 'hole-of-ten-seconds', b'\x80' + updown + beat * 4 + hole + b'\x32' + updown + beat * 6
    yield 'copies-from-the-attacker-first', b'\x80' + rebind + (busy + ms + b'\x64' + b'\x05\x00\x01' + arrives * 2) * 12
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


TARGETS = {'wire': wire, 'sealed': sealed, 'stateful': stateful, 'policy': policy}


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
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
