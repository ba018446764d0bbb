# SPDX-License-Identifier: GPL-2.0-or-later
"""A NAT gives a client's public address and port to another client: both sessions live on.

Each mapping is one port, so that the newcomer has exactly the one the first client had. Four pairs are up at once: the
newcomer connects afresh or moves there with its session, and the first client sends or says nothing.
Read next: outages.py.
"""
import re

from ..openvpn import Pair
from ..run import now_ns, say, seconds, wait_until
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams

_CASES = [(newcomer, first) for newcomer in ('fresh', 'moved') for first in ('busy', 'silent')]
# Where nobody is: what map_addresses.c shows to OpenVPN.
_ALIAS = r'240\.\d+\.\d+\.\d+:\d+|100::'
_PORT, _NEWCOMER_PORT = 20000, 22000


def _start(story, label, newcomer):
    say(f'  {label}: starting OpenVPN')
    pair = Pair(story.run, label, story.stage, on_clients=(True, True), keepalive=story.options.keepalive,
                detached=story.options.detached, family=story.options.family)
    for place, port in zip(pair.network.clients, (_PORT, _NEWCOMER_PORT)):
        pair.network.map_to(place, port=port)
    if newcomer == 'moved':
        pair.start()
        return pair
    pair.server.start()
    pair.clients[0].start()
    if pair.server.end:
        pair.attached()
    return pair


def _tell(story, moved_before):
    """moved_before: the first client is elsewhere already and the mapping is where its session was born."""
    pairs = {f'{newcomer}_{first}': _start(story, newcomer[0] + first[0], newcomer) for newcomer, first in _CASES}
    streams, watches, times, told = {}, {}, {}, {}
    for name, pair in pairs.items():
        streams[name] = Streams(pair, **dict.fromkeys(('uplink', 'tcp'), name.endswith('busy')))
        if name.startswith('moved'):
            streams[f'{name}_newcomer'] = Streams(pair, pair.clients[1])
    pause(1, 'traffic')
    if moved_before:
        for name, pair in pairs.items():
            at = pair.network.map_to(pair.network.clients[0], port=_PORT + 1)
            streams[name].wait_resumed(at, 20)
        pause(2, 'the first client is elsewhere')
    for name, pair in pairs.items():
        first, second = pair.clients
        watches[name] = story.watch(pair)
        if name.startswith('moved'):
            watches[f'{name}_newcomer'] = story.watch(pair, second)
        cut_at = now_ns()
        if moved_before:
            usable_at = pair.network.map_to(pair.network.clients[1], port=_PORT)
        else:
            usable_at = pair.network.take_mapping(*reversed(pair.network.clients), _PORT)
        if name.startswith('fresh'):
            second.launch()
        times[name] = times[f'{name}_newcomer'] = cut_at, usable_at
    for name, pair in pairs.items():
        if name.startswith('fresh'):
            told[f'{name}_newcomer'] = _fresh(pair, times[name][1])
    for name, watch in watches.items():
        told[name] = watch.result(*times[name], streams[name])
    return {'figures': {f'{name}_{key}': value for name, part in told.items() for key, value in part['figures'].items()
                        if not key.endswith(('lost', 'later_gap_s', 'gap_s'))},
            'facts': {name: part['facts'] for name, part in told.items()}, 'clients': told}


def _fresh(pair, since):
    """The newcomer's way to its first packets; seconds count from its start."""
    client = pair.clients[1]
    wait_until(lambda: client.lives() > 0, 30, f'{client.name} is up')
    figures = {}
    if client.end:
        pair.attached(client)
        attached = next(event for event in client.end.events(since) if event.get('new_state') == 'ATTACHED')
        figures['attached_s'] = seconds(attached['mono_ns'] - since)
    resumed = Streams(pair, client).wait_resumed(now_ns(), 10)
    return {'figures': figures,
            'facts': {'resumed': resumed, 'handshakes': client.handshakes(), 'restarts': client.restarts(),
                      'alias': bool(re.search(_ALIAS, pair.server.log()))}}


def _expect(moved_before):
    def expect(result):
        wrong = []
        for name, part in result['clients'].items():
            if name.startswith('fresh') and name.endswith('newcomer'):
                facts = part['facts']
                sentences = failed((facts['resumed'], 'its traffic flows'),
                                   (facts['handshakes'] == 1 and facts['restarts'] == 0,
                                    f'it was up at its first try ({facts["handshakes"]}, {facts["restarts"]})'),
                                   (facts['alias'], 'OpenVPN was shown an alias for it'))
            else:
                sentences = expect_survived(part, moved=name.endswith('newcomer') or not moved_before)
            wrong += [f'{name}: {sentence}' for sentence in sentences]
        return wrong
    return expect


@scenario('newcomer-on-mapping', 'a NAT gives the mapping that one client has to another, fresh or with its session',
          _expect(False))
def newcomer_on_mapping(story):
    return _tell(story, moved_before=False)


@scenario('newcomer-on-birthplace', 'the same with the mapping where a session was born that has moved away since',
          _expect(True))
def newcomer_on_birthplace(story):
    return _tell(story, moved_before=True)
