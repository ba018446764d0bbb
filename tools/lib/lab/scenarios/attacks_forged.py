# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that nobody with the key has made: forged, damaged, turned round, under other names.

Read next: attacks_race.py.
"""
import os

from ..attacker import BY_CLIENT, BY_SERVER
from ..run import now_ns, poll_until
from ..siege import REFUSALS, STRANGER, Siege, expect_claims, on_both
from ..story import pause

_EACH = 5  # of each type, and below the rate of the session's own path
_REFUSED = 'SecurityValidationFailed'


def _bad_bodies(siege, genuine):
    """A21: the right id, epoch and address, a body of random bytes."""
    for where, source in (('the client\'s own address', siege.at_server()), ('another address', STRANGER)):
        siege.attack('A21', f'forged messages of a client from {where}',
                     [siege.forged(kind, genuine.session_id, genuine.epoch) for kind in BY_CLIENT for _ in range(_EACH)],
                     source, recorded=_REFUSED, counted='bad_proof', spacing=0.02)
    since = now_ns()
    siege.mislead('A21', 'forged messages of a server',
                  [siege.forged(kind, genuine.session_id, genuine.epoch) for kind in BY_SERVER for _ in range(_EACH)],
                  counted=REFUSALS)
    siege.claim('A21: forged messages of a server: the client recorded it', siege.events('client', since, _REFUSED))
    newest = siege.wan.newest('PROBE').nonce
    siege.mislead('A21', 'COOKIE and RESET for a nonce that may be outstanding', [
        siege.forged(kind, genuine.session_id, genuine.epoch, newest) for kind in ('COOKIE', 'RESET')], counted='denied')


def _while_recovering(siege, genuine):
    """A21: the client waits for a CHALLENGE, and forged answers of all kinds are what it gets."""
    siege.network.block(siege.message('server', 'REATTACH_CHALLENGE'))
    since = siege.network.rebind(siege.place)
    request = poll_until(lambda: siege.wan.find('REATTACH_REQUEST', since=since), 5)
    siege.claim('A21: while the client recovers: it asks', request)
    if request:
        lies = [siege.forged(kind, genuine.session_id, genuine.epoch, nonce) for kind in BY_SERVER
                for nonce in (request[-1].nonce, None)]
        siege.to_client.send_all(lies * 3, siege.server_at, request[-1].source, 0.01)
        siege.claim('A21: while the client recovers: forged answers reached it', poll_until(
            lambda: lies[-1] in [d.payload for d in siege.lan.find(since=since)], 3))
    siege.network.unmute()
    siege.claim('A21: while the client recovers: it recovers all the same', poll_until(
        lambda: siege.pair.is_attached() and siege.at_server() == request[-1].source, 10))


def _other_names(siege, other):
    """A20, A22: genuine messages under another session's name, of another epoch, with another counter."""
    here = siege.at_server()
    probe = siege.wan.newest('PROBE', source=here).payload
    siege.attack('A20', 'a genuine message under another session\'s id', [
        siege.changed(probe, 4, other), siege.changed(probe, 4, other)], here, recorded=_REFUSED, counted='bad_proof',
        beside=siege.pair.clients[1:])
    siege.attack('A22', 'another epoch, a counter far ahead', [
        siege.changed(probe, 2, bytes((probe[3] ^ 1, probe[4]))), siege.changed(probe, 20, b'\x7f' * 8)], here, recorded=_REFUSED,
        counted='bad_proof')
    siege.mislead('A22', 'the server\'s answer of another epoch, with a counter far ahead', [
        siege.changed(siege.wan.newest('PROBE_ACK', target=here).payload, at, value)
        for at, value in ((2, b'\0\1'), (20, b'\x7f' * 8))],
        counted='bad_proof')


def _damaged(siege):
    """A24, A25: every way in which a genuine message can be cut, stretched or bent."""
    here = siege.at_server()
    probe = siege.wan.newest('PROBE', source=here).payload
    ack = siege.wan.newest('PROBE_ACK', target=here).payload
    versions = [siege.changed(probe, 0, bytes((version << 4 | 3,))) for version in range(16) if version != 1]
    flags = [siege.changed(probe, 1, bytes((1 << bit,))) for bit in range(8)]
    siege.attack('A25', 'other versions and flags', versions + flags, here, counted='malformed', spacing=0.01)
    cut = [siege.reframed(probe, lambda m, n=n: m[:n]) for n in (1, 2, 19, 43, 59, 60, 75, 76, 99, 143)]
    grown = [siege.reframed(probe, lambda m, n=n: m + os.urandom(n)) for n in (1, 2, 16, 200, 1155, 1290)]
    siege.attack('A24', 'truncated and oversized messages', cut + grown, here, counted='malformed', spacing=0.02)
    bent = [siege.reframed(probe, lambda m, at=at: _flipped(m, at, at % 8)) for at in range(1, 144, 5)]
    siege.attack('A24', 'one bit flipped', bent, here, recorded=_REFUSED, counted=REFUSALS, spacing=0.03)
    siege.mislead('A24', 'the server\'s answer, cut, grown, bent, of another version', [
        siege.reframed(ack, change) for change in (
            lambda m: m[:59], lambda m: m[:-1], lambda m: m + b'\0',
            *(lambda m, v=version: bytes((v << 4 | 4,)) + m[1:] for version in (0, 2, 15)),
            *(lambda m, at=at: _flipped(m, at, 0) for at in range(1, 110, 10)))])
    _other_envelopes(siege, probe, ack)


def _flipped(message, at, bit):
    return message[:at] + bytes((message[at] ^ 1 << bit,)) + message[at + 1:]


def _other_envelopes(siege, probe, ack):
    """What is kept for later versions of the envelope; for strongSwan also envelopes that contradict themselves."""
    if siege.host == 'openvpn':
        what = 'reserved first bytes'
        lies = [bytes((first,)) + tail for first in range(0xF9, 0x100) for tail in (probe[1:], b'')]
        answers = [bytes((first,)) + ack[1:] for first in range(0xF9, 0x100)]
    else:
        what = 'other envelopes'
        lies, answers = ([_flipped(payload, at, bit) for at in range(4, 32) for bit in (0, 7) if at not in (21, 22)]
                         + [payload[:22] + bytes((exchange,)) + payload[23:] for exchange in range(242, 255)]
                         for payload in (probe, ack))
    ends = {'server': siege.pair.server.end, 'client': siege.client.end}
    before = {name: _refused(end) for name, end in ends.items()}
    for where, source in (('the client\'s own address', siege.at_server()), ('another address', STRANGER)):
        siege.attack('A24', f'{what} from {where}', lies, source, spacing=0.005)
    siege.mislead('A24', what, answers, spacing=0.005)
    for name, end in ends.items():
        siege.claim(f'A24: {what} never reach the {name}\'s core', _refused(end) == before[name])


def _refused(end):
    """What the core has looked at and refused."""
    return [end.counters()[name] for name in ('malformed', 'bad_proof', 'replayed', 'denied')]


def _reflected(siege):
    """A26: to each what it has said itself."""
    here = siege.at_server()
    acks = siege.wan.find('PROBE_ACK', target=here)[-10:]
    siege.attack('A26', 'the server\'s own messages', [d.payload for d in acks], here, counted='malformed')
    ends = [siege.reframed(d.payload, lambda m: b'\x1b' + m[1:89]) for d in acks]  # of a type that both sides send
    siege.attack('A26', 'the server\'s own messages as TERMINATE', ends, here,
                 recorded=_REFUSED, counted='bad_proof')
    siege.mislead('A26', 'the client\'s own messages', [
        d.payload for d in siege.wan.find('PROBE', 'REATTACH_REQUEST', 'REATTACH_PROOF', source=here)[-10:]],
                  counted='malformed')


@on_both('a21-forged', 'A20 A21 A22 A24 A25 A26: forged, damaged and reflected messages to both ends', expect_claims,
         attacks=('A20', 'A21', 'A22', 'A24', 'A25', 'A26'))
def a21_forged(story):
    siege = Siege(story, on_clients=(True, True))
    pause(1, 'traffic both ways')
    other = siege.look(siege.pair.clients[1])
    genuine = siege.wan.newest('PROBE', source=siege.at_server())
    since = now_ns()
    _bad_bodies(siege, genuine)
    _other_names(siege, bytes.fromhex(other[0]['session_id']))
    _damaged(siege)
    _reflected(siege)
    siege.unbroken('A21', since)
    siege.claim('A20: the other client\'s session is where it was', siege.alike_but_health(other, siege.look(siege.pair.clients[1])))
    _while_recovering(siege, genuine)
    return siege.result()
