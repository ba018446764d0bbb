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
    """netdelay's counters, "ok passed=A,B dropped=C,D": (C, D), one of each direction."""
    return [int(count) for count in counters.split('dropped=')[1].split(',')]


@scenario('loss', f'{_LOSS_PERCENT} % loss each way and {_JITTER_MS} ms of jitter for {_SECONDS} s: not a dead path',
          _expect)
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
