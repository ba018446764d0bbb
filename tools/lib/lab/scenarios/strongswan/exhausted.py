# SPDX-License-Identifier: GPL-2.0-or-later
"""A36: neither charon can open anything when the session has to move.

Read next: moves.py.
"""
import os
import resource

from ...charon_story import expect_survived, scenario
from ...run import now_ns
from ...story import failed, pause
from ...streams import Streams


def _leave_none(process):
    """From now on this process gets no new descriptor. Returns its limits before."""
    opened = {int(name) for name in os.listdir(f'/proc/{process.pid}/fd')}
    lowest = next(number for number in range(len(opened) + 1) if number not in opened)
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    return before


def _expect(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        (facts['went_on'], 'traffic went on from another mapping while there was no descriptor'),
        (facts['there_was_none'], 'there was none'))


@scenario('a36-descriptors', 'neither charon can open anything (RLIMIT_NOFILE), and the NAT rebinds', _expect, attacks=('A36',))
def a36_descriptors(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    charons = (pair.clients[0], pair.server)
    opened = [len(os.listdir(f'/proc/{charon.process.pid}/fd')) for charon in charons]
    before = [_leave_none(charon.process) for charon in charons]
    cut_at = now_ns()
    usable_at = pair.network.rebind(pair.network.clients[0])
    went_on = streams.wait_resumed(usable_at, 20)
    pause(2, 'without descriptors')
    none = all(len(os.listdir(f'/proc/{charon.process.pid}/fd')) <= count for charon, count in zip(charons, opened))
    for charon, limits in zip(charons, before):
        resource.prlimit(charon.process.pid, resource.RLIMIT_NOFILE, limits)
    result = watch.result(cut_at, usable_at, streams)
    result['facts'] |= {'went_on': went_on, 'there_was_none': none}
    return result
