# SPDX-License-Identifier: GPL-2.0-or-later
"""Does anything of a user's leave outside the tunnel while a session moves, waits, or is rekeyed?

Both sides never stop sending; every frame on the client's uplink is looked at, in its own namespace and on the router, and
what the server sends. Read next: ../../taps.py.
"""
import os

from ... import traffic
from ...charon_story import expect_survived, scenario
from ...network import SERVER
from ...run import now_ns, poll_until, wait_until
from ...story import failed, pause
from ...streams import Record, Stream
from ...strongswan import PORT, PORT_NAT
from ...taps import Taps, expect_nothing

_PORT = 7200
_MOVES = 3


def _taps(pair):
    place, network, taps = pair.network.clients[0], pair.network, Taps(pair.run)
    ports, own = (PORT, PORT_NAT), [f'192.168.{subnet}.2' for subnet in (10, 15)]
    taps.add('router', network.router, ['lan00'], (SERVER,), ports)
    taps.add('client', place.namespace, ['up0'], (SERVER,), ports, outgoing=True)
    taps.add('server', network.server, ['eth0'], own, ports, outgoing=True)
    return taps


def _send_always(pair):
    """Datagrams each 2 ms, both ways, whatever becomes of the tunnel; nobody asks which address they leave from."""
    program, client, streams = os.path.abspath(traffic.__file__), pair.clients[0], {}
    for name, near, far, to, port in (('uplink', client, pair.server, pair.inner(), _PORT),
                                      ('downlink', pair.server, client, client.tunnel_address(), _PORT + 1)):
        record = f'{pair.folder}/{name}.record'
        process = pair.run.start(['/usr/bin/python3', program, '--record', record, '--receive', str(port)],
                                 f'{name}-far.log', far.namespace)
        wait_until(lambda: os.path.exists(record) or not process.running(), 5, 'the far end listens')
        pair.run.start(['/usr/bin/python3', program, '--record', f'{record}.sent', '--send', f'{to}:{port}', '--udp-ms', '2'],
                       f'{name}-near.log', near.namespace)
        streams[name] = Stream(name, Record(record), 'udp')
    return streams


def _expect(result):
    facts = result['facts']
    found = failed(*((arrives, f'after {name} what is sent arrives') for name, arrives in facts['arrives'].items()))
    return found + expect_nothing(facts['taps']) + (expect_survived(result, moved=True, esp=False) if 'session' in result else [])


@scenario('plaintext', 'everything that leaves both ends is looked at: addresses replaced, gone, in a hole, rekeyings', _expect,
          variants=((), ('--kernel',)), attacks=('A38', 'A38 --kernel'))
def plaintext(story):
    pair = story.pair(nat=False)
    network, place, client = pair.network, pair.network.clients[0], pair.clients[0]
    taps, streams, arrives = _taps(pair), _send_always(pair), {}

    def step(name):
        since = now_ns()
        arrives[name] = bool(poll_until(lambda: all(stream.flows_since(since) for stream in streams.values()), 20))
        if client.end:
            pair.attached(timeout=20)
        pause(0.5, name)  # charon looks at its routes again 100 ms after a change

    step('the start')
    watch, cut_at = story.watch(pair), now_ns()
    for turn in range(_MOVES):
        network.change_address(place)
        step(f'another address, {turn}')
    client.ask('rekey', {'child': pair.children[0]})
    step('a rekeying of the CHILD_SA')
    network.lose_address(place)
    pause(3, 'no address')
    network.change_address(place, lost=True)
    step('no address')
    network.hole(True)
    pause(2, 'a hole')
    network.change_address(place)
    pause(3, 'a hole, with another address')
    usable_at = network.hole(False)
    step('a hole')
    result = watch.result(cut_at, usable_at)
    result['facts'] |= {'arrives': arrives, 'taps': taps.facts()}
    return result
