# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that nobody with the key has made: forged, damaged, turned round, under other names.

Read next: attacks_race.py.
"""
import os

from ..attacker import BY_CLIENT, BY_SERVER, ENVELOPE, changed, forged
from ..run import now_ns, poll_until
from ..siege import SERVER_AT, STRANGER, Siege, expect_claims, message
from ..story import pause, scenario

_EACH = 5  # of each type, and below the rate of the session's own path
_REFUSED = 'SecurityValidationFailed'


def _bad_bodies(siege, genuine):
    """A21: the right id, epoch and address, a body of random bytes."""
    for where, source in (('the client\'s own address', siege.at_server()), ('another address', STRANGER)):
        siege.attack('A21', f'forged messages of a client from {where}',
                     [forged(kind, genuine.session_id, genuine.epoch) for kind in BY_CLIENT for _ in range(_EACH)],
                     source, recorded=_REFUSED, counted='bad_proof', spacing=0.02)
    since = now_ns()
    siege.mislead('A21', 'forged messages of a server',
                  [forged(kind, genuine.session_id, genuine.epoch) for kind in BY_SERVER for _ in range(_EACH)])
    siege.claim('A21: forged messages of a server: the client recorded it', siege.events('client', since, _REFUSED))
    newest = siege.wan.newest('PROBE').nonce
    siege.mislead('A21', 'COOKIE and RESET for a nonce that may be outstanding', [
        forged(kind, genuine.session_id, genuine.epoch, newest) for kind in ('COOKIE', 'RESET')])


def _while_recovering(siege, genuine):
    """A21: the client waits for a CHALLENGE, and forged answers of all kinds are what it gets."""
    siege.network.block(message('server', 'REATTACH_CHALLENGE', place=siege.place))
    since = siege.network.rebind(siege.place)
    request = poll_until(lambda: siege.wan.find('REATTACH_REQUEST', since=since), 5)
    siege.claim('A21: while the client recovers: it asks', request)
    if request:
        lies = [forged(kind, genuine.session_id, genuine.epoch, nonce) for kind in BY_SERVER
                for nonce in (request[-1].nonce, None)]
        siege.to_client.send_all(lies * 3, SERVER_AT, request[-1].source, 0.01)
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
        changed(probe, 4, other), changed(probe, 4, other)], here, recorded=_REFUSED, counted='bad_proof')
    siege.attack('A22', 'another epoch, a counter far ahead', [
        changed(probe, 2, bytes((probe[3] ^ 1, probe[4]))), changed(probe, 20, b'\x7f' * 8)], here, recorded=_REFUSED,
        counted='bad_proof')
    siege.mislead('A22', 'the server\'s answer of another epoch, with a counter far ahead', [
        changed(siege.wan.newest('PROBE_ACK', target=here).payload, at, value)
        for at, value in ((2, b'\0\1'), (20, b'\x7f' * 8))],
        counted='bad_proof')


def _damaged(siege):
    """A24, A25: every way in which a genuine message can be cut, stretched or bent."""
    here = siege.at_server()
    probe = siege.wan.newest('PROBE', source=here).payload
    ack = siege.wan.newest('PROBE_ACK', target=here).payload
    versions = [bytes((ENVELOPE, version << 4 | 3)) + probe[2:] for version in range(16) if version != 1]
    flags = [changed(probe, 1, bytes((1 << bit,))) for bit in range(8)]
    siege.attack('A25', 'other versions and flags', versions + flags, here, counted='malformed', spacing=0.01)
    cut = [probe[:length] for length in (2, 3, 20, 44, 60, 61, 76, 77, 100, 144)]
    grown = [probe + os.urandom(length) for length in (1, 2, 16, 200, 1155, 1300)]
    siege.attack('A24', 'truncated and oversized messages', cut + grown, here, counted='malformed', spacing=0.02)
    bent = [changed(probe, at, bytes((probe[1 + at] ^ 1 << at % 8,))) for at in range(1, 144, 5)]
    siege.attack('A24', 'one bit flipped', bent, here, recorded=_REFUSED, spacing=0.03)
    siege.mislead('A24', 'the server\'s answer, cut, grown, bent, of another version', [
        ack[:60], ack[:-1], ack + b'\0', *(bytes((ENVELOPE, version << 4 | 4)) + ack[2:] for version in (0, 2, 15)),
        *(changed(ack, at, bytes((ack[1 + at] ^ 1,))) for at in range(1, 110, 10))])
    ends = {'server': siege.pair.server.end, 'client': siege.client.end}
    before = {name: _refused(end) for name, end in ends.items()}
    for where, source in (('the client\'s own address', here), ('another address', STRANGER)):
        siege.attack('A24', f'reserved first bytes from {where}',
                     [bytes((first,)) + tail for first in range(0xF9, 0x100) for tail in (probe[1:], b'')], source)
    siege.mislead('A24', 'reserved first bytes', [bytes((first,)) + ack[1:] for first in range(0xF9, 0x100)])
    for name, end in ends.items():
        siege.claim(f'A24: reserved first bytes never reach the {name}\'s core', _refused(end) == before[name])


def _refused(end):
    """What the core has looked at and refused."""
    return [end.counters()[name] for name in ('malformed', 'bad_proof', 'replayed', 'denied')]


def _reflected(siege):
    """A26: to each what it has said itself."""
    here = siege.at_server()
    acks = siege.wan.find('PROBE_ACK', target=here)[-10:]
    siege.attack('A26', 'the server\'s own messages', [d.payload for d in acks], here, counted='malformed')
    ends = [changed(d.payload, 0, b'\x1b') for d in acks]  # of a type that both sides send
    siege.attack('A26', 'the server\'s own messages as TERMINATE', [end[:90] for end in ends], here,
                 recorded=_REFUSED, counted='bad_proof')
    siege.mislead('A26', 'the client\'s own messages', [
        d.payload for d in siege.wan.find('PROBE', 'REATTACH_REQUEST', 'REATTACH_PROOF', source=here)[-10:]],
                  counted='malformed')


@scenario('a21-forged', 'A20 A21 A22 A24 A25 A26: forged, damaged and reflected messages to both ends', expect_claims,
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
    siege.claim('A20: the other client\'s session is as it was', siege.look(siege.pair.clients[1]) == other)
    _while_recovering(siege, genuine)
    return siege.result()
