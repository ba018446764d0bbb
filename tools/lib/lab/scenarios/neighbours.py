# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers with the plugin beside peers without: nobody may notice that his neighbour has it.

Read next: throughput.py.
"""
import re
import time

from ..openvpn import PORT
from ..run import now_ns
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams

_SAME = ('pushed', 'handshakes', 'native_floats', 'resumed')


# What a client hears and says, from the first packet on: all of it, and what is ours (R-1: opcode 31).
_COUNT = '\n'.join(['table inet count {', *(
    f'chain {hook} {{ type filter hook {hook} priority 0; udp {port} {PORT} counter; udp {port} {PORT} @th,64,5 0x1f counter; }}'
    for hook, port in (('input', 'sport'), ('output', 'dport'))), '}', ''])


def _count(pair):
    pair.network.inside(pair.clients[0].namespace, 'nft', '-f', '-', stdin=_COUNT)


def _counted(pair):
    """(all packets, ours), both ways together."""
    rules = pair.network.inside(pair.clients[0].namespace, 'nft', 'list', 'table', 'inet', 'count')
    numbers = [int(number) for number in re.findall(r'counter packets (\d+)', rules)]
    return sum(numbers[0::2]), sum(numbers[1::2])


def _expect_as_bare(result):
    sides = result['facts']['one_sided'], result['facts']['bare']
    everything, ours = result['facts']['datagrams']
    return failed((everything > 0 and ours == 0, f'no datagram of ours ever goes either way ({ours} of {everything})'), *((sides[0][key] == sides[1][key], f'{key} as with bare OpenVPN ({sides[0][key]}, bare '
                     f'{sides[1][key]})') for key in _SAME))


def _one_sided(story, on_server, on_clients):
    """A pair with the plugin on one side beside a bare one: the same address change for both."""
    pairs = {'one_sided': story.pair('p', on_server=on_server, on_clients=on_clients, nat=False, before=_count),
             'bare': story.pair('b', bare=True, nat=False)}
    streams = {name: Streams(pair) for name, pair in pairs.items()}
    pause(2, 'traffic both ways')
    result = {'figures': {}, 'facts': {}}
    for name, pair in pairs.items():
        client = pair.clients[0]
        watch = story.watch(pair)
        cut_at = now_ns()
        told = watch.result(cut_at, pair.network.change_address(pair.network.clients[0]), streams[name])
        result['figures'] |= {f'{name}_{key}': value for key, value in told['figures'].items()}
        result['facts'][name] = told['facts'] | {'pushed': client.pushed(), 'handshakes': client.handshakes()}
    result['facts']['datagrams'] = _counted(pairs['one_sided'])
    return result


@scenario('no-plugin-client', 'plugin on the server only, beside a bare pair', _expect_as_bare)
def no_plugin_client(story):
    return _one_sided(story, on_server=True, on_clients=(False,))


@scenario('no-plugin-server', 'plugin on the client only, beside a bare pair', _expect_as_bare)
def no_plugin_server(story):
    return _one_sided(story, on_server=False, on_clients=(True,))


def _expect_several(result):
    clients = result['clients']
    return ([f'moved client: {sentence}' for sentence in expect_survived(clients['moved'], moved=True)]
            + [f'still client: {sentence}' for sentence in expect_survived(clients['still'], moved=False)]
            + failed((clients['bare']['facts']['resumed'], 'the bare client\'s traffic goes on'),
                     (clients['bare']['facts']['handshakes'] == 0, 'the bare client made no new TLS handshake')))


@scenario('several-clients', 'three on one server: one moved by NAT rebinding, one still, one bare', _expect_several)
def several_clients(story):
    names = ('moved', 'still', 'bare')
    pair = story.pair(on_clients=(True, True, False))
    clients = dict(zip(names, pair.clients))
    streams = {name: Streams(pair, client) for name, client in clients.items()}
    pause(2, 'traffic of all three')
    watches = {name: story.watch(pair, client) for name, client in clients.items()}
    cut_at = now_ns()
    usable_at = pair.network.rebind(pair.network.clients[0])
    time.sleep(3)  # long enough for harm to a neighbour to show
    told = {name: watches[name].result(cut_at, usable_at, streams[name]) for name in names}
    return {'figures': {f'{name}_{key}': value for name in names for key, value in told[name]['figures'].items()},
            'facts': {name: told[name]['facts'] for name in names}, 'clients': told}
