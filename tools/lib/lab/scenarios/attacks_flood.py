# SPDX-License-Identifier: GPL-2.0-or-later
"""Forged messages as fast as they go, from a hundred thousand addresses: who else notices?

The flood's sender, both ends of the tunnel and iperf3 share the machine's processors, so the same flood is also sent to
a port where nobody listens, and to bare OpenVPN, in turns. There is no wire: it would be the bottleneck.
"""
import statistics
import time

from ..network import ROUTER, SERVER, SERVER_MAC, lab_program
from ..openvpn import PORT
from ..run import Fault, say
from ..siege import expect_claims
from ..story import scenario
from .throughput import megabits

_SOURCES = ('198.18.0.0', 100000)
_MILLION = 1_000_000
_RATE = 20000  # frames a second beside iperf3: more than all of the server's own rates together
_ROUNDS = 3
_SECONDS = 2
_CLOSED = PORT + 1


class _Flood:
    def __init__(self, story, pair, port, count, rate, session=None):
        words = [lab_program('flood'), 'wan', SERVER_MAC, SERVER, str(port), _SOURCES[0], str(_SOURCES[1]), str(count),
                 str(rate), *([session] if session else [])]
        self._process = story.run.start(words, f'{pair.label}-flood.log', pair.network.router)

    def end(self, wait=60):
        """How many frames went out."""
        if self._process.wait(wait) != 0:
            raise Fault(f'the flood: {self._process.log()[-200:]}')
        return int(self._process.log().split('sent')[-1].split()[0])

    def stop(self):
        self._process.stop()


def _udp(pair):
    """The server's kernel's counters of UDP: what came to a socket, what found its buffer full, what found none."""
    text = pair.network.inside(pair.network.server, 'grep', '^Udp:', '/proc/net/snmp').splitlines()
    counters = dict(zip(text[0].split()[1:], map(int, text[1].split()[1:])))
    return {key: counters[key] for key in ('InDatagrams', 'RcvbufErrors', 'NoPorts')}


def _resident(pair):
    with open(f'/proc/{pair.server.process.pid}/status', encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))


def _prepare(pair):
    # Answers go somewhere and end there; a router that says "no route" would be a flood of its own.
    pair.network.ip(pair.network.server, f'route add default via {ROUTER}')
    pair.network.ip(pair.network.router, f'route add blackhole {_SOURCES[0]}/15')


def _processor_ns(pair):
    """Processor time that the server's OpenVPN has used."""
    with open(f'/proc/{pair.server.process.pid}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0])


def _cost(story, pairs, figures):
    """A16: the processor time of one message, which a busy machine does not change much."""
    for name, pair in pairs.items():
        before, came = _processor_ns(pair), _udp(pair)['InDatagrams']
        _Flood(story, pair, PORT, _RATE * _SECONDS, _RATE).end()
        time.sleep(0.2)
        figures[f'a16_{name}_us_each'] = round(
            (_processor_ns(pair) - before) / 1000 / max(1, _udp(pair)['InDatagrams'] - came), 2)


def _million(story, pair, claims, figures):
    """A04: a million messages under random ids, and some under a living session's id."""
    before = pair.shared_session()
    for name, session, count in (('random ids', None, _MILLION),
                                 ('a living session\'s id', before[0]['session_id'], _MILLION // 5)):
        memory, counts, began = _resident(pair), _udp(pair), time.monotonic()
        sent = _Flood(story, pair, PORT, count, 0, session).end()
        took = time.monotonic() - began
        time.sleep(1)
        after, counted, grown = pair.attached(timeout=30), _udp(pair), _resident(pair) - memory
        came = counted['InDatagrams'] - counts['InDatagrams']
        label = 'a04_random' if session is None else 'a04_living'
        figures |= {f'{label}_sent_each_second': round(sent / took), f'{label}_reached_openvpn': came,
                    f'{label}_memory_grown_kbyte': grown}
        claims |= {
            f'A04: {name}: {count} were sent': sent >= count * 0.99,
            f'A04: {name}: OpenVPN had to read a good part of them': came > count // 50,
            f'A04: {name}: the server\'s memory has not grown (1 MByte at most)': grown <= 1024,
            f'A04: {name}: there is no session more': len(pair.server.end.sessions()) == 1,
            f'A04: {name}: the session is the same': after[0]['session_id'] == before[0]['session_id'],
            f'A04: {name}: its binding is the same': after[1]['binding'] == before[1]['binding']}


def _beside_iperf3(story, pairs, claims, figures):
    """A16: the speed of both tunnels, in turns, with a flood at a closed port and at the server's."""
    speeds = {}
    for number in range(_ROUNDS):
        for name, pair in pairs.items():
            for what, port in (('closed', _CLOSED), ('flooded', PORT)):
                flood = _Flood(story, pair, port, _RATE * 2 * _SECONDS, _RATE)
                time.sleep(0.2)
                speeds.setdefault(f'{name}_{what}', []).append(round(megabits(pair, _SECONDS), 1))
                flood.stop()
        say(f'  round {number + 1}: ' + ', '.join(f'{name} {values[-1]:.0f}' for name, values in speeds.items()))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    figures |= {f'a16_{name}_mbit': value for name, value in medians.items()} | {
        f'a16_{name}_kept': round(medians[f'{name}_flooded'] / medians[f'{name}_closed'], 3) for name in pairs}
    claims['A16: all tunnels carry traffic beside the flood'] = min(map(min, speeds.values())) > 0


@scenario('a16-flood', 'A04 A16: a million forged messages, and a flood of them beside iperf3 and bare OpenVPN',
          expect_claims, alone=True)
def a16_flood(story):
    claims, figures = {}, {}
    pairs = {'plugin': story.pair('p', delay_ms=None, server_lines=['verb 1']),
             'bare': story.pair('b', bare=True, delay_ms=None, server_lines=['verb 1'])}
    for pair in pairs.values():
        _prepare(pair)
        story.run.start(['iperf3', '-s'], f'{pair.label}-iperf3.log', pair.server.namespace)
    plugin = pairs['plugin']
    session = plugin.shared_session()[0]['session_id']
    handshakes = plugin.clients[0].handshakes()
    for pair in pairs.values():
        megabits(pair, 1)
    _million(story, plugin, claims, figures)
    _cost(story, pairs, figures)
    _beside_iperf3(story, pairs, claims, figures)
    after = plugin.attached(timeout=30)
    claims |= {'A16: the session is the same': after[0]['session_id'] == session,
               'A16: no TLS handshake': plugin.clients[0].handshakes() == handshakes,
               'A16: the server\'s OpenVPN runs': plugin.server.process.running()}
    return {'figures': figures, 'facts': claims}
