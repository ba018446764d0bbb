# SPDX-License-Identifier: GPL-2.0-or-later
"""A server with an IPv4 and an IPv6 address: the session goes from one to the other and back.

The server's name is in the client's hosts file, as OpenVPN resolves it once and for both families;
the first address of the other family is the plugin's to try. Read next: outages.py.
"""
import os
import shutil

from ..network import SERVER, SERVER6
from ..openvpn import PORT, TUNNEL_SERVER, Pair
from ..run import now_ns, poll_until, say
from ..story import expect_order, expect_survived, failed, pause, scenario
from ..streams import Streams

_NAME = 'vpn.example.net'
_SILENT_IPV4 = 'table ip silent {\nchain forward { type filter hook forward priority 0; policy drop; }\n}\n'
# Two more addresses of the server, from which nothing leaves by the kernel's own choice.
_SECOND, _SECOND6 = '203.0.113.9', '2001:db8:ffff::9'


def _name_the_server(story, label, addresses):
    """`ip netns exec` puts this file in the place of the machine's own."""
    folder = f'/etc/netns/{story.run.tag}-{label}client0'
    os.makedirs(folder)
    story.run.defer(shutil.rmtree, folder)
    with open(f'{folder}/hosts', 'w', encoding='ascii') as file:
        file.write('127.0.0.1 localhost\n' + ''.join(f'{address} {_NAME}\n' for address in addresses))
    with open(f'{folder}/resolv.conf', 'w', encoding='ascii') as file:
        file.write(f'nameserver {TUNNEL_SERVER}\noptions timeout:1 attempts:1\n')


def _pair(story, prepare, label='p', addresses=(SERVER, SERVER6), **arguments):
    """A client that may take either family, an AF_INET6 server for both. prepare(network, place): before the start."""
    _name_the_server(story, label, addresses)
    pair = Pair(story.run, label, story.stage, keepalive=story.options.keepalive, detached=story.options.detached,
                family='both', remote=[f'remote {_NAME} {PORT}'],
                client_lines=['proto udp', 'redirect-gateway def1'], **arguments)
    if addresses == (_SECOND, _SECOND6):
        pair.network.ip(pair.network.server, f'addr add {_SECOND}/24 dev eth0',
                        f'addr add {_SECOND6}/64 dev eth0 preferred_lft 0')
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
    figures = {f'{name}_{key}': value for name, part in parts.items() for key, value in part['figures'].items()}
    return {'figures': figures,
            'facts': {name: part['facts'] for name, part in parts.items()}, 'parts': parts}


def _there_and_back(story, first, other, **arguments):
    # Without a way there the resolver puts the other family last, and OpenVPN takes the first.
    pair = _pair(story, lambda network, place: network.lose_address(place, only=other), **arguments)
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


@scenario('families-multihome', 'the same on a server with multihome, by addresses that are not its first',
          _expect_families)
def families_multihome(story):
    return _there_and_back(story, 4, 6, addresses=(_SECOND, _SECOND6), server_lines=['multihome'])


@scenario('families-silent', 'IPv4 to the server goes silent and nobody says so', _expect_families)
def families_silent(story):
    pair = _pair(story, lambda network, place: network.lose_address(place, only=6))
    network, place = pair.network, pair.network.clients[0]
    network.uplink_up(place)
    streams = Streams(pair)
    pause(2, 'traffic both ways over IPv4')
    watch = story.watch(pair)
    network.inside(network.router, 'nft', '-f', '-', stdin=_SILENT_IPV4)
    cut_at = now_ns()
    return _told({'to_ipv6': watch.result(cut_at, cut_at, streams)})


def _expect_reborn(result):
    return _expect_families(result) + failed(
        (result['facts']['reborn'], 'a session that was ended on the other family\'s path begins anew'),
        (result['facts']['pings_answered'] == 3, 'and carries packets'))


@scenario('families-reborn', 'IPv4 goes, the session on IPv6 is ended, a new one comes, IPv4 is back and IPv6 goes',
          _expect_reborn)
def families_reborn(story):
    pair = _pair(story, lambda network, place: network.lose_address(place, only=6))
    network, place = pair.network, pair.network.clients[0]
    network.uplink_up(place)
    old = pair.attached()[1]
    network.lose_address(place, only=4)
    poll_until(lambda: _is_ipv6((pair.is_attached() or [{}, old])[1]['binding']), 20)
    pair.server.end.terminate(old['session_id'])
    reborn = poll_until(lambda: (pair.is_attached() or [old])[0]['session_id'] != old['session_id'], 40)
    pings = network.ping(pair.clients[0].namespace, TUNNEL_SERVER, 3)
    network.uplink_up(place)
    streams = Streams(pair)
    pause(2, 'traffic both ways in the new session')
    watch = story.watch(pair)
    cut_at = network.lose_gateway(place, only=6)
    told = _told({'to_ipv4': watch.result(cut_at, cut_at, streams)})
    told['facts'] |= {'reborn': bool(reborn), 'pings_answered': pings}
    return told


def _expect_nameless(result):
    facts = result['facts']
    return failed((facts['reborn'], 'a new session is made though the server\'s name cannot be resolved'),
                  (facts['pings_answered'] == 3, 'and carries packets'),
                  (facts['said'], 'the log says that the name\'s last address is used'))


@scenario('families-nameless', 'a session ends, and the resolver is behind the tunnel that is kept', _expect_nameless)
def families_nameless(story):
    pair = _pair(story, lambda network, place: network.lose_address(place, only=6))
    old = pair.attached()[1]
    # In place: what `ip netns exec` has mounted over /etc is this very file.
    with open(f'/etc/netns/{pair.clients[0].namespace}/hosts', 'w', encoding='ascii') as file:
        file.write('127.0.0.1 localhost\n')
    pair.server.end.terminate(old['session_id'])
    reborn = poll_until(lambda: (pair.is_attached() or [old])[0]['session_id'] != old['session_id'], 40)
    return {'figures': {}, 'facts': {
        'reborn': bool(reborn), 'pings_answered': pair.network.ping(pair.clients[0].namespace, TUNNEL_SERVER, 3),
        'said': any('as it was last' in line for line in pair.clients[0].said())}}


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
