# SPDX-License-Identifier: GPL-2.0-or-later
"""A client whose way to the server is chosen by more than the destination: a mark, a source, a device, several next hops.

Two uplinks each; OpenVPN's packets take the second, where the plain answer to "which way to the server" is the first or
none. With several next hops it is either, by the packet's ports. Read next: uplinks.py.
"""
from ..openvpn import Pair
from ..run import now_ns, say
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams

_HOLE_S = 5
_SECOND = '192.168.11.2'
# How OpenVPN is told. mark_only: there is no default route but the one for the mark.
_WAYS = {
    'mark': ['mark 1'], 'mark_only': ['mark 1'], 'local': [f'local {_SECOND}', 'lport 0'],
    'device': ['bind-dev up1'], 'multipath': [],
}
_RULES = {'mark': 'fwmark 1', 'mark_only': 'fwmark 1', 'local': f'from {_SECOND}'}


def _prepare(way, network, place):
    gateways = [f'192.168.{subnet}.1' for subnet in place.subnets]
    lines = []
    if way in _RULES:
        lines += [f'route add default via {gateways[1]} dev up1 table 100', f'rule add {_RULES[way]} lookup 100']
    if way in ('mark_only', 'local'):
        lines += ['route del default metric 200']
    if way in ('mark_only', 'multipath'):
        lines += ['route del default metric 100']
    if way == 'multipath':
        network.write(place.namespace, 'net/ipv4/fib_multipath_hash_policy', 1)
        lines += ['route del default metric 200',
                  'route add default ' + ' '.join(f'nexthop via {gateway} dev up{n}' for n, gateway in enumerate(gateways))]
    network.ip(place.namespace, *lines)


def _pair(story, way, label):
    pair = Pair(story.run, label, story.stage, keepalive=story.options.keepalive, detached=story.options.detached,
                uplinks=2, client_lines=_WAYS[way])
    if way == 'local':  # `nobind` forbids it
        config = pair.clients[0].config
        with open(config, encoding='utf-8') as file:
            lines = file.read().splitlines()
        with open(config, 'w', encoding='utf-8') as file:
            file.write('\n'.join([*(line for line in lines if line != 'nobind'), '']))
    _prepare(way, pair.network, pair.network.clients[0])
    say(f'  {label}: starting OpenVPN, {way}')
    pair.start()
    return pair


def _expect(result):
    wrong = []
    for way, part in result['parts'].items():
        for event, told in part.items():
            sentences = expect_survived(told, moved=True if event == 'rebind' else None) + failed(
                (not told['facts']['unable'], 'the client never finds itself without a way'))
            wrong += [f'{way}, {event}: {sentence}' for sentence in sentences]
    return wrong


@scenario('routing', f'the way is chosen by a mark, the source, a device, or among next hops: NAT rebinding, {_HOLE_S} s hole',
          _expect, variants=((), ('--detached',)))
def routing(story):
    pairs = {way: _pair(story, way, label) for label, way in zip('abcde', _WAYS)}
    streams = {way: Streams(pair) for way, pair in pairs.items()}
    pause(1, 'traffic both ways')
    parts = {way: {} for way in pairs}
    for event in ('rebind', 'hole'):
        watches, cuts, usable = {}, {}, {}
        for way, pair in pairs.items():
            watches[way], cuts[way] = story.watch(pair), now_ns()
            usable[way] = pair.network.hole(True) if event == 'hole' else pair.network.rebind(pair.network.clients[0])
        if event == 'hole':
            pause(_HOLE_S, 'nothing passes')
            usable = {way: pair.network.hole(False) for way, pair in pairs.items()}
        for way, pair in pairs.items():
            told = parts[way][event] = watches[way].result(cuts[way], usable[way], streams[way], settle=0.5)
            told['facts']['unable'] = any(change[2] == 'no_candidate_transports'
                                          for change in told.get('session', {}).get('changes', {}).get('client', []))
    return {'figures': {f'{way}_{event}_{key}': value for way, part in parts.items() for event, told in part.items()
                        for key, value in told['figures'].items()},
            'facts': {f'{way}_{event}': told['facts'] for way, part in parts.items() for event, told in part.items()},
            'parts': parts}
