# SPDX-License-Identifier: GPL-2.0-or-later
"""The path is there all the time, but a bad one: packets get lost and come late.

By the policy, three probes in a row kill a path that has lost none before. At 2 % each way that
happens by chance in less than one run of 400; long runs under much more loss are the unit tests' (A01).
Read next: captured.py.
"""
from ..run import now_ns
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams

_LOSS_PERCENT = 2
_JITTER_MS = 5
_SECONDS = 20


def _expect(result):
    facts, changes = result['facts'], result['session']['changes']
    return expect_survived(result, moved=False) + failed(
        (all(facts['wire_dropped']), f'the wire lost packets in both directions ({facts["wire_dropped"]} lost)'),
    ) + failed(*((all(new != 'RECOVERING' for _, new, _ in changes[end]),
                  f'the {end} never took the path for dead (it went {changes[end]})') for end in ('client', 'server')))


def _dropped(counters):
    """Of netdelay's counters, "ok passed=A,B dropped=C,D ...": (C, D), one of each direction."""
    return [int(count) for count in counters.split('dropped=')[1].split()[0].split(',')]


@scenario('loss', f'{_LOSS_PERCENT} % loss each way and {_JITTER_MS} ms of jitter for {_SECONDS} s: not a dead path',
          _expect, attacks=('A01',))
def loss(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    wire = pair.network.wire
    before = _dropped(wire.set())
    cut_at = now_ns()
    wire.set(loss=_LOSS_PERCENT, jitter=_JITTER_MS)
    pause(_SECONDS, f'{_LOSS_PERCENT} % loss, {_JITTER_MS} ms of jitter')
    after = _dropped(wire.set(loss=0, jitter=0))
    result = watch.result(cut_at, now_ns(), streams)
    result['facts']['wire_dropped'] = [late - early for early, late in zip(before, after)]
    return result


def _expect_goodput(result):
    facts, changes = result['facts'], result['session']['changes']
    return expect_survived(result, moved=False) + failed(
        *((all(new not in ('RECOVERING', 'TERMINATED') for _, new, _ in changes[end]),
           f'A01: the {end} never took the path for dead (it went {changes[end]})') for end in ('client', 'server')),
        (facts['delivered']['plugin'] > 0, 'datagrams arrive'))


@scenario('loss-goodput', '--loss % each way for --length seconds, beside bare OpenVPN on a path as bad (A01)',
          _expect_goodput)
def loss_goodput(story):
    pairs = {'plugin': story.pair('p'), 'bare': story.pair('b', bare=True)}
    streams = {name: Streams(pair) for name, pair in pairs.items()}
    pause(2, 'traffic both ways')
    watch = story.watch(pairs['plugin'])
    cut_at = now_ns()
    for pair in pairs.values():
        pair.network.wire.set(loss=story.options.loss)
    pause(story.options.length, f'{story.options.loss:g} % loss each way')
    usable_at = now_ns()
    delivered = {name: {stream.name: stream.count(cut_at, usable_at) for stream in each.streams.values()}
                 for name, each in streams.items()}
    for pair in pairs.values():
        pair.network.wire.set(loss=0)
    result = watch.result(cut_at, usable_at, streams['plugin'])
    result['figures'] = {f'{name}_ratio': round(delivered['plugin'][name] / max(1, delivered['bare'][name]), 3)
                         for name in delivered['plugin']}
    result['facts'] |= {'delivered': {'plugin': delivered['plugin']['downlink'] + delivered['plugin']['uplink'],
                                      'bare': delivered['bare']['downlink'] + delivered['bare']['uplink']},
                        'tcp_answers': {name: each['tcp'] for name, each in delivered.items()}}
    return result
