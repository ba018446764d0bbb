# SPDX-License-Identifier: GPL-2.0-or-later
"""Forged messages as fast as they go, from a hundred thousand addresses: who else notices?

The flood's sender, both ends of the tunnel and iperf3 share the machine's processors, so the same flood is also sent to
a port where nobody listens, and to bare OpenVPN, in turns. There is no wire: it would be the bottleneck.
"""
import contextlib
import os
import signal
import statistics
import time

from ..network import ROUTER, SERVER, SERVER_MAC, lab_program
from ..openvpn import PORT, TUNNEL_SERVER
from ..run import Fault, now_ns, poll_until, say
from ..siege import expect_claims
from ..story import scenario
from .throughput import megabits

_SOURCES = ('198.18.0.0', 100000)
_MILLION = 1_000_000
_RATE = 20000  # frames a second beside iperf3: more than all of the server's own rates together
_SECONDS = 2
_CLOSED = PORT + 1
_SETTLE, _SLOT = 0.1, 0.3
_RANDOM, _REATTACH, _PROBES = (False, '368'), (True, '68'), (True, '3')  # under a living session's id? which types?
# The port and the rate (0: as many as go) of each flood, and what it sends.
_FLOODS = {'quiet': (None, 0, _RANDOM), 'closed': (_CLOSED, _RATE, _RANDOM), 'refused': (PORT, _RATE, _RANDOM),
           'flooded': (PORT, _RATE, _RANDOM), 'line_closed': (_CLOSED, 0, _RANDOM), 'line': (PORT, 0, _RANDOM),
           'living': (PORT, _RATE, _REATTACH), 'line_living': (PORT, 0, _REATTACH),
           'probes': (PORT, _RATE, _PROBES), 'line_probes': (PORT, 0, _PROBES)}

# What a stream keeps, and what it is compared with. The flood at a closed port is the fair measure; it and the one that
# the kernel refuses show what sending and receiving alone take from the processors that all share.
_COMPARED = (('kept', 'flooded', 'closed'), ('kept_at_line_rate', 'line', 'line_closed'),
             ('living', 'living', 'closed'), ('living_at_line_rate', 'line_living', 'line_closed'),
             ('probes', 'probes', 'closed'), ('probes_at_line_rate', 'line_probes', 'line_closed'),
             ('floor_closed', 'closed', 'quiet'), ('floor_refused', 'refused', 'quiet'),
             ('floor_line', 'line_closed', 'quiet'))


class _Flood:
    def __init__(self, story, pair, port, count, rate, session=None, types='368'):
        words = [lab_program('flood'), 'wan', SERVER_MAC, SERVER, str(port), _SOURCES[0], str(_SOURCES[1]), str(count),
                 str(rate), session or '-', 'f8', '0', types]
        self._process = story.run.start(words, f'{pair.label}-flood.log', pair.network.router)

    @classmethod
    def of(cls, story, pair, what):
        """The flood of this name, without an end; None: there is none."""
        port, rate, (named, types) = _FLOODS[what]
        session = pair.attached(timeout=30)[0]['session_id'] if named and pair.server.end else None
        return cls(story, pair, port, 10 ** 9, rate, session, types) if port else None

    def end(self, wait=60):
        """How many frames went out."""
        if self._process.wait(wait) != 0:
            raise Fault(f'the flood: {self._process.log()[-200:]}')
        return int(self._process.log().split('sent')[-1].split()[0])

    @property
    def pid(self):
        return self._process.pid

    def hold(self):
        self._process.signal(signal.SIGSTOP)

    def go_on(self):
        self._process.signal(signal.SIGCONT)

    def stop(self):
        self._process.stop()


def _udp(pair):
    """The server's kernel's counters of UDP: what was read; what a socket refused, by its filter or since its buffer was full; the latter."""
    text = pair.network.inside(pair.network.server, 'grep', '^Udp:', '/proc/net/snmp').splitlines()
    counters = dict(zip(text[0].split()[1:], map(int, text[1].split()[1:])))
    return {key: counters[key] for key in ('InDatagrams', 'InErrors', 'RcvbufErrors')}


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
    """A16: the processor time of one message that is sent, which a busy machine does not change much."""
    for name, pair in pairs.items():
        flood = _Flood(story, pair, PORT, 10 ** 9, _RATE)
        time.sleep(1)
        before, began = _processor_ns(pair), time.monotonic()
        time.sleep(_SECONDS)
        figures[f'a16_{name}_us_each'] = round(
            (_processor_ns(pair) - before) / 1000 / (_RATE * (time.monotonic() - began)), 2)
        flood.stop()


def _million(story, pair, claims, figures):
    """A04: a million messages under random ids, and some under a living session's id."""
    before, sessions = pair.shared_session(), len(pair.server.end.sessions())
    for name, session, count in (('random ids', None, _MILLION),
                                 ('a living session\'s id', before[0]['session_id'], _MILLION // 5)):
        memory, counts, began = _resident(pair), _udp(pair), time.monotonic()
        sent = _Flood(story, pair, PORT, count, 0, session).end()
        took = time.monotonic() - began
        time.sleep(1)
        after, counted, grown = pair.attached(timeout=30), _udp(pair), _resident(pair) - memory
        came = counted['InDatagrams'] - counts['InDatagrams']
        filtered = counted['InErrors'] - counts['InErrors'] - counted['RcvbufErrors'] + counts['RcvbufErrors']
        label = 'a04_random' if session is None else 'a04_living'
        figures |= {f'{label}_sent_each_second': round(sent / took), f'{label}_reached_openvpn': came,
                    f'{label}_dropped_by_the_filter': filtered,
                    f'{label}_memory_grown_kbyte': grown}
        claims |= {
            f'A04: {name}: {count} were sent': sent >= count * 0.99,
            f'A04: {name}: they reached its socket': came + filtered > count // 50,
            f'A04: {name}: the server\'s memory has not grown (1 MByte at most)': grown <= 1024,
            f'A04: {name}: there is no session more': len(pair.server.end.sessions()) == sessions,
            f'A04: {name}: the session is the same': after[0]['session_id'] == before[0]['session_id'],
            f'A04: {name}: its binding is the same': after[1]['binding'] == before[1]['binding']}


_DROP = f'add table ip lab_flood; add chain ip lab_flood in {{ type filter hook input priority 0; }}; ' \
        f'add rule ip lab_flood in ip saddr {_SOURCES[0]}/15 drop'


class _Refused:
    """The server's kernel takes nothing from the flood's sources: what sending and receiving alone cost."""

    def __init__(self, pair):
        self._pair = pair

    def __enter__(self):
        self._pair.network.inside(self._pair.network.server, 'nft', _DROP)

    def __exit__(self, *_):
        self._pair.network.inside(self._pair.network.server, 'nft', 'delete table ip lab_flood')


def _received(pair):
    """Bytes that came out of the server's end of the tunnel."""
    with open(f'/proc/{pair.server.process.pid}/net/dev', encoding='ascii') as file:
        return sum(int(line.split(':')[1].split()[0]) for line in file if line.strip().startswith('tun'))


class _Stream:
    """A stream into the server that goes on all the time, and floods that are let go and held back beside it."""

    def __init__(self, story, pair, sink, compared):
        self._pair, self._sink = pair, sink
        self._iperf3 = story.run.start(['iperf3', '-t', '900', '-P', '4', '-c', TUNNEL_SERVER],
                                       f'{pair.label}-stream.log', pair.clients[0].namespace)
        self._floods = {what: _Flood.of(story, pair, what)
                        for what in sorted({what for entry in compared for what in entry[1:]} - {'quiet'})}
        for flood in self._floods.values():
            flood.hold()
        self._pin()
        time.sleep(1)

    def _pin(self):
        """
        The client's end on one processor, the server's and the floods on the other: what a flood costs the server is
        missing where the stream needs it, and the scheduler's choices are not what is measured.
        """
        processors = sorted(os.sched_getaffinity(0))
        for pid in (self._pair.clients[0].process.pid, self._iperf3.pid):
            os.sched_setaffinity(pid, {processors[0]})
        for pid in (self._pair.server.process.pid, self._sink.pid, *(f.pid for f in self._floods.values())):
            os.sched_setaffinity(pid, {processors[-1]})

    def speed(self, what):
        """Megabits a second, beside this flood."""
        flood = self._floods.get(what)
        with _Refused(self._pair) if what == 'refused' else contextlib.nullcontext():
            if flood:
                flood.go_on()
            time.sleep(_SETTLE)
            began, before = time.monotonic(), _received(self._pair)
            time.sleep(_SLOT)
            speed = (_received(self._pair) - before) * 8 / 1e6 / (time.monotonic() - began)
            if flood:
                flood.hold()
        return speed

    def compare(self, over, under, rounds):
        """
        The speed beside the one flood as a part of that beside the other, its standard error, and both speeds.

        Whatever slows the machine down for seconds slows neighbours in time alike: what counts is the ratio within each
        round of four slots, A B B A, and of these the median.
        """
        speeds = {over: [], under: []}
        for _ in range(rounds):
            for what in (over, under, under, over):
                speeds[what].append(self.speed(what))
        ratios = [sum(speeds[over][i:i + 2]) / max(sum(speeds[under][i:i + 2]), 0.001) for i in range(0, 2 * rounds, 2)]
        return (statistics.median(ratios), 1.25 * statistics.stdev(ratios) / rounds ** 0.5,
                *map(statistics.mean, speeds.values()))

    def end(self):
        self._iperf3.stop()
        for flood in self._floods.values():
            flood.go_on()
            flood.stop()


def _beside_iperf3(story, pairs, sinks, claims, figures):
    """A16: what a stream keeps beside a flood; the floor is what it keeps where the flood costs the kernel alone."""
    rounds = max(2, round(story.options.length / 5))
    for name, pair in pairs.items():
        # Bare OpenVPN drops every forged message alike.
        compared = [entry for entry in _COMPARED
                    if (not story.options.only or entry[0] in story.options.only.split(','))
                    and (pair.server.end or entry[0].split('_')[0] not in ('living', 'probes'))]
        if not compared:
            continue
        stream = _Stream(story, pair, sinks[pair.label], compared)
        for label, over, under in compared:
            ratio, error, *speeds = stream.compare(over, under, rounds)
            say(f'  {name}: {over} {speeds[0]:.0f}, {under} {speeds[1]:.0f} Mbit/s: {ratio:.3f} +- {error:.3f}')
            figures |= {f'a16_{name}_{label}': round(ratio, 3), f'a16_{name}_{label}_error': round(error, 3),
                        f'a16_{name}_{over}_mbit': round(speeds[0])}
            claims[f'A16: {name}: traffic flows: {label}'] = min(speeds) > 0
        stream.end()


def _back(pair, client, move):
    """How long after this move the client is back, in ms, and whether in the same session; 120 000: it is not."""
    before = pair.attached(client, timeout=30)
    began = move()
    after = poll_until(lambda: (v := pair.is_attached(client)) and v[1]['generation'] > before[1]['generation']
                       and v[0]['generation'] == v[1]['generation'] and v, 120, step=0.02)
    return round((now_ns() - began) / 1e6), bool(after) and after[0]['session_id'] == before[0]['session_id']


def _rebinding(story, pair, claims, figures):
    """
    A16: a client gets another mapping in the middle of a flood: the one whose session is flooded, and another one. And
    it goes to a place from where it has not been heard before, which nothing but its REQUEST can tell. A client that
    says nothing would notice some seconds later.
    """
    pings = [story.run.start(['ping', '-i', '0.2', TUNNEL_SERVER], f'{pair.label}-ping{client.name}.log', client.namespace)
             for client in pair.clients]
    for what in ('quiet', 'flooded', 'line', 'living', 'line_living'):
        flood = _Flood.of(story, pair, what)
        time.sleep(1.5)
        names = ('flooded', 'other') if what in ('quiet', 'living', 'line_living') else ('flooded',)
        for name, client, place in zip(names, pair.clients, pair.network.clients):
            moves = {'rebound': lambda place=place: pair.network.rebind(place)}
            if what in ('quiet', 'living') and name == 'flooded':
                moves = {'moved': lambda place=place: pair.network.change_address(place)} | moves
            for move, how in moves.items():
                figures[f'a16_{what}_{name}_{move}_back_ms'], same = _back(pair, client, how)
                claims[f'A16: {what}: the client of the {name} session, {move}, comes back in it'] = same
        if flood:
            flood.stop()
    for ping in pings:
        ping.stop()


def _sieve(pair, claims):
    """A16: the server's plugin has told the system to drop them, and is told so by its log and its counters."""
    claims['A16: the server has set its filter'] = pair.server.end.stats()['flood']['begun'] >= 1
    claims['A16: OpenVPN\'s log says so'] = 'a flood: some' in pair.server.process.log()


@scenario('a16-flood', 'A04 A16: a million forged messages, and a flood of them beside iperf3 and bare OpenVPN',
          expect_claims, alone=True, variants=(('--length', '10', '--only', 'kept,kept_at_line_rate,living,living_at_line_rate'),),
          attacks=('A04', 'A16'))
def a16_flood(story):
    claims, figures, sinks = {}, {}, {}
    pairs = {'plugin': story.pair('p', delay_ms=None, on_clients=(True, True), server_lines=['verb 1']),
             'bare': story.pair('b', bare=True, delay_ms=None, server_lines=['verb 1'])}
    for pair in pairs.values():
        _prepare(pair)
        sinks[pair.label] = story.run.start(['iperf3', '-s'], f'{pair.label}-iperf3.log', pair.server.namespace)
    plugin = pairs['plugin']
    session = plugin.shared_session()[0]['session_id']
    handshakes = plugin.clients[0].handshakes()
    for pair in pairs.values():
        megabits(pair, 1)
    _million(story, plugin, claims, figures)
    _cost(story, pairs, figures)
    _rebinding(story, plugin, claims, figures)
    _beside_iperf3(story, pairs, sinks, claims, figures)
    _sieve(plugin, claims)
    after = plugin.attached(timeout=30)
    claims |= {'A16: the session is the same': after[0]['session_id'] == session,
               'A16: no TLS handshake': plugin.clients[0].handshakes() == handshakes,
               'A16: the server\'s OpenVPN runs': plugin.server.process.running()}
    return {'figures': figures, 'facts': claims}
