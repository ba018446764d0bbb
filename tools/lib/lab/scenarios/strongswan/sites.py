# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP connections over a hole that want more than one that is busy all the time: of hosts behind the two, and silent ones.

What a firewall rejects by itself a host behind hears of once a second at most, and who first writes inside the hole has
nothing on its way that could be told of. Read next: outages.py.
"""
import os
import re
import time

from ... import traffic
from ...charon_story import expect_survived, scenario
from ...run import command, now_ns, poll_until, wait_until
from ...story import failed, pause
from ...streams import Record, Stream, Streams

_EACH_WAY = 2
_SELDOM_MS = 4000
_PORT = 7300


class _Connections:
    """TCP connections between namespaces."""

    def __init__(self, pair, name, ways, pace_ms=50):
        """ways: (from this namespace, to that, which has this address); pace_ms: between two requests of a connection."""
        self._records = []
        program = ['/usr/bin/python3', os.path.abspath(traffic.__file__), '--record']
        for way, (near, far, address) in enumerate(ways):
            record, port = f'{pair.folder}/{name}{way}.listen', _PORT + pace_ms
            process = pair.run.start([*program, record, '--listen', str(port)], f'{name}{way}-listen.log', far)
            wait_until(lambda: os.path.exists(record) or not process.running(), 20, f'{name}: somebody listens')
            for number in range(_EACH_WAY):
                path = f'{pair.folder}/{name}{way}-{number}.record'
                pair.run.start([*program, path, '--connect', f'{address}:{port}', '--tcp-ms', str(pace_ms)],
                               f'{name}{way}-{number}.log', near)
                self._records.append(Record(path))
                wait_until(lambda: os.path.exists(path), 20, f'{name}: somebody connects')
                time.sleep(pace_ms / 1000 / _EACH_WAY)  # they take turns
        self._streams = [Stream('tcp', record, 'tcp') for record in self._records]
        start = now_ns()
        wait_until(lambda: self.flow_since(start), 20, f'{name}: traffic flows')

    def flow_since(self, instant):
        return all(stream.flows_since(instant, 1) for stream in self._streams)

    def back(self, instant):
        """Seconds until each connection had an answer to what was sent after this instant; None: it has none."""
        return [stream.back_after(instant) for stream in self._streams]

    def connections(self):
        return sum(len(record.update().connections) for record in self._records)


def _inside(namespace, *words):
    return command('ip', 'netns', 'exec', namespace, *words, check=False)


def _tcp(namespace):
    """(How often that TCP connection here has doubled its time to the next try that did most; connections that have
    something to send of which nothing is on its way.)"""
    shown = _inside(namespace, 'ss', '-Htino', 'state', 'established')
    return (max(map(int, re.findall(r'\bbackoff:(\d+)', shown)), default=0), shown.count('timer:(persist,'))


def _rejections(namespace):
    """How many destination-unreachable messages this host has sent so far."""
    head, values = (line.split() for line in _inside(namespace, 'grep', '^Icmp:', '/proc/net/snmp').splitlines())
    return int(values[head.index('OutDestUnreachs')])


def _firewalls(namespace):
    """Whose rules of the plugin's are there."""
    found = {'nft': 'log group' in _inside(namespace, 'nft', 'list', 'table', 'inet', 'jumping'),
             'iptables': 'NFLOG' in _inside(namespace, 'iptables-legacy', '-S', 'jumping')}
    return [name for name, there in found.items() if there]


def _expect(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        *((facts[f'{name}_back'] == count and facts[f'{name}_connections'] == count,
           f'the {count} connections {what} go on, and are the same '
           f'({facts[f"{name}_back"]}, {facts[f"{name}_connections"]})')
          for name, count, what in (('behind', 2 * _EACH_WAY, 'of hosts behind'), ('seldom', _EACH_WAY, 'that are seldom busy'))),
        *((count > 0, f'the {end} told senders that there is no path ({count})')
          for end, count in facts.get('rejections', {}).items()),
        *((found == [facts['firewall_wanted']], f'the {end} did it by {facts["firewall_wanted"]} ({found})')
          for end, found in facts.get('firewalls', {}).items()),
        *((not found, f'no rule of the {end} is left ({found})') for end, found in facts.get('firewalls_left', {}).items()),
        *((not count, f'what the {end} sends is on its way, not waiting to be sent at all ({count})')
          for end, count in facts.get('unsent', {}).items()))


@scenario('sites', 'a black hole of --hole seconds between two sites: TCP of hosts behind them, and TCP that is seldom busy', _expect,
          variants=(('--kernel', '--hole', '12'),))
def sites(story):
    pair = story.pair(sites=True)
    ends = {'server': pair.server.namespace, 'client': pair.clients[0].namespace}
    (behind_server, to_server), (behind_client, to_client) = pair.behind
    groups = {
        'behind': _Connections(pair, 'behind', ((behind_client, behind_server, to_server), (behind_server, behind_client, to_client))),
        'seldom': _Connections(pair, 'seldom', ((ends['client'], ends['server'], pair.inner()),), _SELDOM_MS)}
    streams = Streams(pair, uplink=False, downlink=False)  # enough for a machine with one processor
    pause(2, 'traffic both ways')
    watch, told = story.watch(pair), {end: _rejections(place) for end, place in ends.items()}
    cut_at = pair.network.hole(True)
    pause(story.options.hole, 'black hole')
    tcp = {end: _tcp(place) for end, place in
           (*ends.items(), ('behind_server', behind_server), ('behind_client', behind_client))}
    firewalls = {end: _firewalls(place) for end, place in ends.items()}
    usable_at = pair.network.hole(False)
    limit = max(story.options.wait, 1.2 * story.options.hole + 20)
    poll_until(lambda: all(group.flow_since(usable_at) for group in groups.values()), limit, step=0.05)
    result = watch.result(cut_at, usable_at, streams, limit=limit)
    for name, group in groups.items():
        back = [each for each in group.back(usable_at) if each is not None]
        result['figures'] |= {f'{name}_first_back_s': min(back, default=None), f'{name}_last_back_s': max(back, default=None)}
        result['facts'] |= {f'{name}_back': len(back), f'{name}_connections': group.connections()}
    result['figures'] |= {f'{end}_backoff_most': most for end, (most, _) in tcp.items()}
    result['figures'] |= {f'{end}_unsent': tcp[end][1] for end in ends}
    if story.options.kernel and pair.server.end and story.options.reject:
        result['facts'] |= {'rejections': {end: _rejections(place) - told[end] for end, place in ends.items()},
                            'firewall_wanted': {'uml': 'iptables', 'qemu': 'nft'}[story.options.kernel], 'firewalls': firewalls,
                            'firewalls_left': {end: _firewalls(place) for end, place in ends.items()},
                            'unsent': {end: tcp[end][1] for end in ends}}
    return result
