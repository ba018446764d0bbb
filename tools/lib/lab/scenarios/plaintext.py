# SPDX-License-Identifier: GPL-2.0-or-later
"""Does anything of a user's leave outside the tunnel, in any state of a session and between two?

The client never stops sending, to the server's inside and to an address behind it, with redirect-gateway; every frame
on its uplinks is looked at, in its own namespace and on the router. Read next: mappings.py.
"""
import os

from .. import traffic
from ..network import SERVER, SERVER6
from ..openvpn import PORT, TUNNEL_SERVER
from ..run import now_ns, poll_until, wait_until
from ..story import failed, pause, scenario
from ..streams import Record, Stream
from ..taps import Taps, expect_nothing

# What the Internet behind the VPN is in the lab.
_FAR = '198.51.100.1'
_PORTS = {TUNNEL_SERVER: 7100, _FAR: 7101}
_TTL_S = 6
_POLICY = {'transport_lost_ttl_ms': _TTL_S * 1000, 'recovery_window_ms': _TTL_S * 1000}
_STATES = ('ATTACHED', 'VOLATILE', 'RECOVERING', 'TERMINATED')


def _taps(pair, uplinks):
    """On every uplink of a client, at both of its ends."""
    place, taps = pair.network.clients[0], Taps(pair.run)
    taps.add('router', pair.network.router, [f'lan{place.index}{i}' for i in range(uplinks)], (SERVER, SERVER6), (PORT,))
    taps.add('client', place.namespace, [f'up{i}' for i in range(uplinks)], (SERVER, SERVER6), (PORT,), outgoing=True)
    return taps


def _send_always(pair):
    """The client sends from now on, whatever becomes of the tunnel. Returns a stream for each destination."""
    program, streams = os.path.abspath(traffic.__file__), {}
    for to, port in _PORTS.items():
        record = f'{pair.folder}/far-{port}.record'
        process = pair.run.start(['/usr/bin/python3', program, '--record', record, '--receive', str(port)],
                                 f'far-{port}.log', pair.server.namespace)
        wait_until(lambda: os.path.exists(record) or not process.running(), 5, 'the far end listens')
        pair.run.start(['/usr/bin/python3', program, '--record', f'{pair.folder}/near-{port}.record', '--send',
                        f'{to}:{port}', '--udp-ms', '5'], f'near-{port}.log', pair.clients[0].namespace)
        streams[to] = Stream(to, Record(record), 'udp')
    return streams


def _flows(streams, timeout=40):
    since = now_ns()
    return bool(poll_until(lambda: all(stream.flows_since(since) for stream in streams.values()), timeout))


def _volatile(client, wire, since):
    """A path that delivers badly, until the client says so."""
    wire.set(loss=35)
    poll_until(lambda: 'VOLATILE' in _visited(client, since), 10)
    wire.set(loss=0)


def _visited(client, since):
    """The states that a client's sessions went through."""
    return [event['new_state'] for event in client.end.events(since) if event['event_type'] == 'SessionStateChange']


def _expect(result):
    facts = result['facts']
    return failed(
        *((steps, f'after {name} what the client sends arrives') for name, steps in facts['arrives'].items()),
        *((state in facts['states'], f'the client was {state} ({facts["states"]})') for state in _STATES),
        (facts['ended'] >= 2, f'two sessions ended on the way ({facts["ended"]} did)'),
    ) + expect_nothing(facts['taps'])


def _tell(story, persist):
    pair = story.pair(uplinks=2, client_lines=['redirect-gateway def1'], persist=persist, policy=_POLICY)
    network, place, client = pair.network, pair.network.clients[0], pair.clients[0]
    network.publish(_FAR)
    taps, since = _taps(pair, 2), now_ns()
    streams, arrives = _send_always(pair), {}

    def step(name, wait=40):
        arrives[name] = _flows(streams, wait)
        if client.end:
            pair.attached(timeout=20)  # data flows a little before, and the next event is to meet a session

    step('the start')
    if client.end:
        _volatile(client, network.wire, since)
    step('a bad path')
    network.uplink_down(place, 0)
    step('the first uplink\'s going')
    network.uplink_up(place, 0)
    network.silence_uplink(place, 1)
    step('the second uplink\'s silence')
    network.silence_uplink(place, 1, on=False)
    network.uplink_down(place, 0)
    step('the first one\'s going again')
    network.hole(True)
    pause(_TTL_S / 2, 'a hole')
    network.hole(False)
    step('the hole')
    cut_at = network.hole(True)
    pause(_TTL_S + 1, 'a hole that ends the session')
    if client.end:  # after loss it takes longer until the path is taken for dead, and the bound runs from then
        poll_until(lambda: 'TERMINATED' in _visited(client, cut_at), 20)
    network.hole(False)
    step('the end of the session')
    network.uplink_up(place, 0)
    pair.server.kill()
    pause(1, 'no server')
    pair.server.start()
    step('the server\'s restart')
    states = _visited(client, since) if client.end else []
    return {'figures': {}, 'facts': {'arrives': arrives, 'states': sorted({*states, 'ATTACHED'}),
                                     'ended': states.count('TERMINATED'), 'taps': taps.facts()}}


@scenario('plaintext', 'everything that leaves a client is looked at: bad path, switching, hole, end of a session, '
          'restart of the server', _expect, attacks=('A38',))
def plaintext(story):
    return _tell(story, persist=True)


@scenario('plaintext-default', 'the same with neither persist-tun nor persist-key in the file', _expect,
          variants=((), ('--detached',)), attacks=('A38 --detached',))
def plaintext_default(story):
    return _tell(story, persist=False)
