# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers with the plugin beside peers without: nobody may notice that his neighbour has it.

Read next: throughput.py.
"""
import time

from ..run import now_ns
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams

_SAME = ('pushed', 'handshakes', 'native_floats', 'resumed')


def _expect_as_bare(result):
    sides = result['facts']['one_sided'], result['facts']['bare']
    return failed(*((sides[0][key] == sides[1][key], f'{key} as with bare OpenVPN ({sides[0][key]}, bare '
                     f'{sides[1][key]})') for key in _SAME))


def _one_sided(story, on_server, on_clients):
    """A pair with the plugin on one side beside a bare one: the same address change for both."""
    pairs = {'one_sided': story.pair('p', on_server=on_server, on_clients=on_clients, nat=False),
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
