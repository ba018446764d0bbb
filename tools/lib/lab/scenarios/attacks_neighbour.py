# SPDX-License-Identifier: GPL-2.0-or-later
"""Others behind the same NAT: one gets the mapping another had, one listens on it, one is too many.

Read next: attacks_birth.py.
"""
import time

from ..attacker import DATA, Forger
from ..network import ROUTER
from ..openvpn import TUNNEL_SERVER
from ..run import command, now_ns, poll_until
from ..siege import Siege, expect_claims
from ..story import pause, scenario
from ..streams import Streams

_FULL_S = 2


def _device(namespace, name):
    """The hardware address of an interface."""
    for line in command('ip', '-n', namespace, '-o', 'link', 'show', name).split('\\'):
        if 'link/ether' in line:
            return line.split('link/ether')[1].split()[0]
    return None


def _swapped(siege):
    """A18: the NAT gives the first client's packets the very address that the second one is bound to."""
    first, second = siege.pair.clients
    places = siege.network.clients
    theirs, before = siege.at_server(second), siege.look(first)
    since = now_ns()
    free = siege.at_server(first)[1] + (1 if siege.at_server(first)[1] % 500 < 499 else -1)
    siege.network.map_to(places[1], ROUTER, free)
    siege.network.map_to(places[0], *theirs)
    siege.claim('A18: the first client is bound to the address that the second one had', poll_until(
        lambda: siege.pair.is_attached(first) and siege.at_server(first) == theirs, 10))
    siege.claim('A18: the second client\'s session is bound elsewhere', poll_until(
        lambda: siege.pair.is_attached(second) and siege.at_server(second) != theirs, 15))
    siege.claim('A18: the first client\'s session is the same',
                siege.look(first)[0]['session_id'] == before[0]['session_id'])
    ended = siege.events('server', since, 'SessionTerminated')
    siege.claim('A18: no session ended', not ended)


def _shadow(siege):
    """A30: a host on the LAN takes over the client's own mapping, and says there what it has recorded."""
    here, before = siege.at_server(), siege.pair.shared_session()[1]
    recorded = [d.payload for d in siege.wan.find(DATA, 'PROBE', source=here)[-30:]]
    since = siege.network.map_to(siege.place, ROUTER, here[1] + 1)
    # Another host of the client's LAN, which the NAT gives the mapping that the client has just lost.
    neighbour = ('192.168.10.77', 4444)
    shadow = Forger(siege.story.run, siege.place.namespace, 'up0', _device(siege.network.router, 'lan00'))
    siege.network.inside(
        siege.network.router, 'nft', 'table ip shadow { chain nat { type nat hook postrouting priority 99; '
        f'ip saddr {neighbour[0]} oifname "wan" meta l4proto udp snat to {here[0]}:{here[1]}; }}; }}')
    for _ in range(3):
        shadow.send_all(recorded, neighbour, siege.server_at)
        time.sleep(0.2)
    came = [d for d in siege.door.find(since=since, source=here) if d.payload in recorded and not d.outgoing]
    siege.claim('A30: the neighbour\'s packets came from the client\'s former mapping', len(came) >= len(recorded))
    siege.claim('A30: the session is with the client, at its new mapping', poll_until(
        lambda: siege.pair.is_attached() and siege.at_server() == (here[0], here[1] + 1), 10))
    moved, instant = siege.look(), now_ns()
    shadow.send_all(recorded, neighbour, siege.server_at)
    time.sleep(1)
    siege.claim('A30: the neighbour moves nothing', siege.alike_but_health(siege.look(), moved))
    siege.claim('A30: it is the same session', moved[1]['session_id'] == before['session_id'])
    got = [d for d in siege.door.find(since=instant, target=here) if d.outgoing and d.kind == DATA]
    siege.claim('A30: the neighbour gets none of the client\'s data', not got)


@scenario('a18-neighbour', 'A18 A30: mappings that change hands between clients, and to a host that listens',
          expect_claims, attacks=('A18', 'A30'))
def a18_neighbour(story):
    siege = Siege(story, on_clients=(True, True))
    other = Streams(siege.pair, siege.pair.clients[1], tcp=False)
    handshakes = siege.pair.clients[1].handshakes()
    pause(1, 'traffic of both')
    _swapped(siege)
    siege.claim('A18: traffic of both flows', all(
        streams.wait_resumed(now_ns(), 10) for streams in (siege.streams, other)))
    _shadow(siege)
    siege.claim('A30: traffic of both flows', all(
        streams.wait_resumed(now_ns(), 10) for streams in (siege.streams, other)))
    siege.claim('A18: the second client made no new handshake', siege.pair.clients[1].handshakes() == handshakes)
    return siege.result()


@scenario('a27-full', 'A27: a third client at a table of two sessions: refused with a reason, the others unharmed',
          expect_claims, attacks=('A27',))
def a27_full(story):
    siege = Siege(story, on_clients=(True, True, True), server_settings={'max_sessions': 2}, waiting=1)
    third = siege.pair.clients[2]
    pause(1, 'traffic')
    before = [siege.look(client) for client in siege.pair.clients[:2]]
    since = now_ns()
    third.launch()
    refused = poll_until(lambda: [e for e in siege.events('server', since)
                                  if e.get('reason_code') == 'session_table_full'], 15)
    siege.claim('A27: the server recorded session_table_full', refused)
    siege.claim('A27: OpenVPN tells the third client: AUTH_FAILED', poll_until(
        lambda: 'AUTH_FAILED' in third.log(), 10))
    pause(_FULL_S, 'the others go on')
    siege.claim('A27: the third client has not come up', third.lives() == 0)
    siege.claim('A27: the others\' sessions are as they were',
                all(siege.alike_but_health(siege.look(client), old) for client, old in zip(siege.pair.clients, before)))
    siege.unbroken('A27', since)
    siege.pair.clients[1].process.stop()
    third.process.stop()
    third.launch()
    siege.claim('A27: a place becomes free, and the third client is let in', poll_until(
        lambda: siege.pair.is_attached(third), 20, 0.1))
    siege.claim('A27: the third client reaches the server', siege.network.ping(third.namespace, TUNNEL_SERVER, 3) > 0)
    return siege.result()
