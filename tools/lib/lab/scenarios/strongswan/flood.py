# SPDX-License-Identifier: GPL-2.0-or-later
"""Forged control datagrams at a high rate: does a tunnel notice, and does the log stay small?

The flood's sender, both charons and the streams share the machine's processors, so the same flood is sent to a port
where nobody listens as well, in turns. There is no wire: it would be the bottleneck. Read next: life.py.
"""
import os
import statistics

from ...charon_story import scenario
from ...network import ROUTER, SERVER, SERVER_MAC, lab_program
from ...run import Fault, now_ns, say
from ...story import failed, pause
from ...streams import Streams
from ...strongswan import EXCHANGES, PORT_NAT, memory_kib

_SOURCES = ('198.18.0.0', 100000)
_RATE = 10000
_ROUNDS = 3
_MESSAGE_BYTES = 144
# The envelope of a client's message; its SPIs, zeros here, are the session id.
_ENVELOPE = bytes(4) + bytes(16) + bytes((0, 0x20, EXCHANGES[0], 0x08)) + bytes(4) + (28 + _MESSAGE_BYTES).to_bytes(4, 'big')


class _Flood:
    def __init__(self, story, pair, port, seconds, session):
        count = round(_RATE * seconds)
        self._process = story.run.start(
            [lab_program('flood'), 'wan', SERVER_MAC, SERVER, str(port), _SOURCES[0], str(_SOURCES[1]), str(count),
             str(_RATE), session, _ENVELOPE.hex(), '4'], f'{pair.label}-flood.log', pair.network.router)

    def end(self):
        """How many went out."""
        if self._process.wait(120) != 0:
            raise Fault(f'the flood: {self._process.log()[-200:]}')
        return int(self._process.log().split('sent')[-1].split()[0])


def _came(pair):
    """Datagrams that the server's kernel gave to a socket."""
    text = pair.network.inside(pair.network.server, 'grep', '^Udp:', '/proc/net/snmp').splitlines()
    return int(dict(zip(text[0].split()[1:], text[1].split()[1:]))['InDatagrams'])


def _expect(result):
    facts = result['facts']
    return failed(
        (facts['lost_in_flood'] <= facts['lost_beside_closed_port'] + facts['allowed'],
         f'the streams lose no more than beside a flood to a closed port ({facts["lost_in_flood"]}, '
         f'{facts["lost_beside_closed_port"]})'),
        (facts['log_lines'] <= facts['log_lines_allowed'], f'the log is bounded ({facts["log_lines"]} lines)'),
        (facts['reached_charon'] > facts['sent'] // 4, 'charon\'s socket had to take a good part of it'),
        (facts['memory_grown_kib'] <= 512,
         f'the server\'s memory does not grow from the first round on ({facts["memory_grown_kib"]} KiB)'),
        (facts['same'], 'the IKE_SA and its CHILD_SA are the same at both ends'),
        (facts['same_session'], 'the session is the same, and ATTACHED at both ends'),
    )


@scenario('flood', f'{_RATE} forged control datagrams a second for --length seconds; streams and log', _expect,
          alone=True, variants=(('--length', '12'),), attacks=('A04', 'A16'))
def flood(story):
    pair = story.pair(delay_ms=None)
    # Answers go somewhere and end there; a router that says "no route" would be a flood of its own.
    pair.network.ip(pair.network.server, f'route add default via {ROUTER}')
    pair.network.ip(pair.network.router, f'route add blackhole {_SOURCES[0]}/15')
    streams = Streams(pair, tcp=False)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    before = pair.attached()[0]['session_id'] if story.stage else None
    seconds = story.options.length / (2 * _ROUNDS)
    lost, lines, sent, came, memory = {'closed': [], 'flooded': []}, 0, 0, 0, []
    for number in range(_ROUNDS):
        for what, port in (('closed', PORT_NAT + 1), ('flooded', PORT_NAT)):
            since, size, reached = now_ns(), len(pair.server.log().splitlines()), _came(pair)
            # A living session's id in every other round: its envelope goes further than a random one.
            out = _Flood(story, pair, port, seconds, before if before and number % 2 else '-').end()
            pause(0.5, f'round {number + 1}, {what}')
            lost[what].append(sum(stream.missed_since(since) or 0 for stream in streams.streams.values()))
            if what == 'flooded':
                lines += len(pair.server.log().splitlines()) - size
                sent, came = sent + out, came + _came(pair) - reached
        memory.append(memory_kib(pair.server))
        say(f'  lost: {lost}; in memory: {memory[-1]} KiB')
    compared = watch.compare()
    after = pair.is_attached() if story.stage else None
    return {'figures': {f'lost_{what}_median': statistics.median(values) for what, values in lost.items()},
            'facts': {'lost_in_flood': sum(lost['flooded']), 'lost_beside_closed_port': sum(lost['closed']),
                      # One in twenty of 100 packets a second. A socket's buffer is full after 30 ms of such a flood, and a
                      # busy machine may keep any thread waiting for longer; bare charon too.
                      'allowed': round(5 * seconds * _ROUNDS),
                      'log_lines': lines, 'log_lines_allowed': 20 + round(seconds * _ROUNDS), 'sent': sent,
                      'reached_charon': came, 'memory_grown_kib': memory[-1] - memory[0],
                      'same': compared['same_ike_spis'] and compared['same_esp_spis'],
                      'same_session': bool(after) and after[0]['session_id'] == before,
                      'log_bytes': os.path.getsize(pair.server.process.log_path)}}
