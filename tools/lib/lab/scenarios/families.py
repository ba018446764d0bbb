# SPDX-License-Identifier: GPL-2.0-or-later
"""A server with an IPv4 and an IPv6 address: the session goes from one to the other and back.

The server's name is in the client's hosts file, as OpenVPN resolves it once and for both families;
the first address of the other family is the plugin's to try. Read next: outages.py.
"""
import os
import shutil

from ..network import SERVER, SERVER6
from ..openvpn import PORT, Pair
from ..run import say
from ..story import expect_order, expect_survived, failed, pause, scenario
from ..streams import Streams

_NAME = 'vpn.example.net'


def _name_the_server(story, label):
    """`ip netns exec` puts this file in the place of the machine's own."""
    folder = f'/etc/netns/{story.run.tag}-{label}client0'
    os.makedirs(folder)
    story.run.defer(shutil.rmtree, folder)
    with open(f'{folder}/hosts', 'w', encoding='ascii') as file:
        file.write(f'127.0.0.1 localhost\n{SERVER} {_NAME}\n{SERVER6} {_NAME}\n')


def _pair(story, prepare, label='p', **network):
    """A client that may take either family, and an AF_INET6 server for both. prepare(network, place) comes before the start."""
    _name_the_server(story, label)
    pair = Pair(story.run, label, story.stage, keepalive=story.options.keepalive, detached=story.options.detached,
                family='both', remote=[f'remote {_NAME} {PORT}'],
                client_lines=['proto udp', 'redirect-gateway def1'], **network)
    prepare(pair.network, pair.network.clients[0])
    say(f'  {label}: starting OpenVPN')
    pair.start()
    return pair


def _is_ipv6(binding):
    return binding is not None and '[' in binding


def _expect_families(result):
    wrong = []
    for name, part in result['parts'].items():
        binding = part['session']['binding_after']
        wrong += [f'{name}: {sentence}' for sentence in (
            expect_survived(part, moved=True)
            + expect_order(part, 'server', ('RECOVERING', None), ('ATTACHED', 'reattach_success'))
            + failed((binding is not None and _is_ipv6(binding) == (name == 'to_ipv6'),
                      f'the server is bound to the other family ({part["session"]["binding_before"]}, then {binding})')))]
    return wrong


def _told(parts):
    return {'figures': {f'{name}_{key}': value for name, part in parts.items() for key, value in part['figures'].items()},
            'facts': {name: part['facts'] for name, part in parts.items()}, 'parts': parts}


def _there_and_back(story, first, other):
    # Without a way there the resolver puts the other family last, and OpenVPN takes the first.
    pair = _pair(story, lambda network, place: network.lose_address(place, only=other))
    network, place = pair.network, pair.network.clients[0]
    network.uplink_up(place)
    streams = Streams(pair)
    pause(2, f'traffic both ways over IPv{first}')
    parts = {}
    watch = story.watch(pair)
    cut_at = network.lose_address(place, only=first)
    parts[f'to_ipv{other}'] = watch.result(cut_at, cut_at, streams)
    network.uplink_up(place)
    pause(2, f'traffic both ways over IPv{other}, IPv{first} is there again')
    watch = story.watch(pair)
    cut_at = network.lose_gateway(place, only=other)
    parts[f'to_ipv{first}'] = watch.result(cut_at, cut_at, streams)
    return _told(parts)


@scenario('families', 'one uplink with both families: IPv4 goes, then IPv6 goes and IPv4 is back', _expect_families,
          variants=((), ('--detached',)))
def families(story):
    return _there_and_back(story, 4, 6)


@scenario('families-from-ipv6', 'the same, born over IPv6', _expect_families)
def families_from_ipv6(story):
    return _there_and_back(story, 6, 4)


def _first_uplink_ipv4_only(network, place):
    network.lose_address(place, 0, only=6)
    network.lose_address(place, 1)


@scenario('families-uplinks', 'two uplinks, one with IPv4 and one with IPv6 only: the first goes', _expect_families)
def families_uplinks(story):
    pair = _pair(story, _first_uplink_ipv4_only, uplinks=2)
    network, place = pair.network, pair.network.clients[0]
    network.uplink_up(place, 1)
    network.lose_address(place, 1, only=4)
    streams = Streams(pair)
    pause(2, 'traffic both ways over IPv4')
    watch = story.watch(pair)
    cut_at = network.uplink_down(place, 0)
    return _told({'to_ipv6': watch.result(cut_at, cut_at, streams)})
