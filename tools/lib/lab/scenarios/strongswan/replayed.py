# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever stands on the path records how a session moved, and says it again from an address of his own.

Read next: flood.py.
"""
from ...attacker import TYPES, Forger, Tap
from ...charon_story import expect_survived, scenario
from ...network import SERVER, SERVER_MAC
from ...run import now_ns, wait_until
from ...story import failed, pause
from ...streams import Streams
from ...strongswan import PORT_NAT, control_message

_STRANGER = ('203.0.113.66', 6666)
_MOVES = ('REATTACH_REQUEST', 'REATTACH_PROOF')


def _expect(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        *((facts['recorded'].get(kind, 0) > 0, f'{kind} of the genuine move was recorded') for kind in _MOVES),
        (facts['arrived'] == facts['sent'] > 0, f'the server was sent all of it ({facts["arrived"]} of {facts["sent"]})'),
        (facts['esp_to_stranger'] == 0, f'no ESP packet went to the stranger ({facts["esp_to_stranger"]})'),
        (facts['bytes_to_stranger'] <= facts['bytes_from_stranger'], 'not more bytes went there than came from there'),
        (facts['generation_unmoved'], 'the binding is that of the genuine move'),
        (facts['packets_missed'] == 0, f'no packet of either stream was missed ({facts["packets_missed"]})'),
    )


def _type(datagram):
    message = control_message(datagram.payload)
    return TYPES[message[0] & 15] if message else None


def _flipped(payload):
    """Copies with one bit turned over: in the envelope's SPIs, and in the message's every eighth byte."""
    for at in (4, 12, *range(32, len(payload), 8)):
        yield payload[:at] + bytes((payload[at] ^ 1 << at % 8,)) + payload[at + 1:]


@scenario('replayed', 'a captured reattach is replayed and bit-flipped from another source', _expect, attacks=('A03',))
def replayed(story):
    pair = story.pair()
    network, place = pair.network, pair.network.clients[0]
    network.add_public(_STRANGER[0])
    wan, door = (Tap(story.run, namespace, interface, PORT_NAT)
                 for namespace, interface in ((network.router, 'wan'), (network.server, 'eth0')))
    forger = Forger(story.run, network.router, 'wan', SERVER_MAC)
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at, usable_at = now_ns(), network.rebind(place)
    result = watch.result(cut_at, usable_at, streams)
    said = [datagram for datagram in wan.find(since=cut_at) if datagram.outgoing]
    moves = [datagram.payload for datagram in said if _type(datagram) in _MOVES]
    if not moves:  # bare: what there is, an IKE message and ESP, is sent again
        moves = [datagram.payload for datagram in said][-3:]
    moved = pair.shared_session()[1] if story.stage else None
    since = now_ns()
    payloads = [*moves, *(flipped for payload in moves for flipped in _flipped(payload))]
    forger.send_all(payloads, _STRANGER, (SERVER, PORT_NAT), 0.002)
    wait_until(lambda: len(door.find(since=since, source=_STRANGER)) >= len(payloads), 10, 'all of it has arrived')
    pause(3, 'would anything go there?')
    told = [datagram.payload for datagram in door.find(since=since, target=_STRANGER)]
    result['facts'] |= watch.compare() | {
        'recorded': {kind: sum(_type(datagram) == kind for datagram in said) for kind in _MOVES},
        'sent': len(payloads), 'arrived': len(door.find(since=since, source=_STRANGER)),
        'esp_to_stranger': sum(payload[:4] != bytes(4) for payload in told),
        'bytes_to_stranger': sum(map(len, told)), 'bytes_from_stranger': sum(map(len, payloads)),
        'packets_missed': sum(streams.streams[name].missed_since(since) or 0 for name in ('downlink', 'uplink'))}
    if moved:
        after = pair.shared_session()
        result['facts']['generation_unmoved'] = bool(after) and after[1]['generation'] == moved['generation']
    return result
