# SPDX-License-Identifier: GPL-2.0-or-later
"""A36: the kernel refuses what a session needs at its worst moment: to send what was held, and a new descriptor.

Read next: outages.py (a hole alone), uplinks.py.
"""
import os
import re
import resource

from ..openvpn import PORT
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams
from .host_life import ENDS, descriptors, end_of

# From its first packet on, and for half a second, each other end's packets but the plugin's own are refused with EPERM: as a
# full table of connections does it when a network has changed. The kernel's clock alone counts.
_REFUSE = '''table inet refuse {{
set begun {{ type inet_service; timeout 1h; }}
set now {{ type inet_service; timeout 500ms; }}
chain out {{
type filter hook output priority 0;
udp {which} != {port} accept
@th,64,8 0xf8 accept
udp {which} @now counter drop
udp {which} @begun accept
add @begun {{ udp {which} }} add @now {{ udp {which} }} counter drop
}}
}}
'''


def _refused(pair, end):
    """How many packets this end's rules have refused."""
    rules = pair.network.inside(end_of(pair, end).namespace, 'nft', 'list', 'table', 'inet', 'refuse')
    return sum(int(number) for number in re.findall(r'counter packets (\d+)', rules))


def _arrived(stream, daemon, cut_at, usable_at):
    """Of what was sent from the moment on when the sender noticed the hole: how many of its packets, how many are missing."""
    since = next(e['mono_ns'] for e in daemon.end.events(cut_at) if e.get('new_state') == 'RECOVERING')
    return sum(since <= sent < usable_at for _, sent, _ in stream.arrivals()), stream.missed_since(since)


def _expect_held(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + sum(([f'{end}: {sentence}' for sentence in failed(
        (facts['refused'][end] > 1, f'the kernel refused packets ({facts["refused"][end]})'),
        (facts['hold'][end]['refused'] == facts['hold'][end]['dropped'] == 0,
         f'nothing that was held was given up ({facts["hold"][end]})'),
        (facts['hold'][end]['sent'] == facts['hold'][end]['held'] > 0, f'all of it was sent ({facts["hold"][end]})'),
        (facts['said'][end] == 1, f'its log says it once ({facts["said"][end]})'))] for end in ENDS), []) + failed(
        *((held > 0 and missed == 0, f'{name}: what was held arrives ({held} of the hole\'s packets, {missed} are missing)')
          for name, (held, missed) in facts['arrived'].items()))


@scenario('a36-refused', 'a hole, and when it ends each end\'s kernel refuses data for half a second (EPERM)', _expect_held,
          attacks=('A36',))
def a36_refused(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = pair.network.hole(True)
    pause(story.options.hole, 'black hole')
    for end, which in zip(ENDS, ('dport', 'sport')):
        pair.network.inside(end_of(pair, end).namespace, 'nft', '-f', '-', stdin=_REFUSE.format(which=which, port=PORT))
    usable_at = pair.network.hole(False)
    result = watch.result(cut_at, usable_at, streams, limit=30 + story.options.hole, settle=3)
    sides = {'uplink': pair.clients[0], 'downlink': pair.server}
    result['facts'] |= {'refused': {end: _refused(pair, end) for end in ENDS}}
    if story.stage:
        result['facts'] |= {
            'hold': {end: end_of(pair, end).end.stats()['hold'] for end in ENDS},
            'said': {end: sum('refuses to send what was held' in line for line in end_of(pair, end).said()) for end in ENDS},
            'arrived': {name: _arrived(streams.streams[name], daemon, cut_at, usable_at) for name, daemon in sides.items()}}
    return result


# No descriptor

def _leave_none(process):
    """From now on this process gets no new descriptor. Returns its limits before."""
    opened = {int(name) for name in os.listdir(f'/proc/{process.pid}/fd')}
    lowest = next(number for number in range(len(opened) + 1) if number not in opened)
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    return before


def _expect_moved(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        (facts['went_on'], 'traffic went on while there was no descriptor'),
        (facts['there_was_none'], 'there was none'),
        (facts['came_back'], 'and once there were some, the other way too'))


@scenario('a36-descriptors', 'neither end can open anything (RLIMIT_NOFILE), and the uplink in use goes', _expect_moved,
          attacks=('A36',))
def a36_descriptors(story):
    pair = story.pair(uplinks=2, nat=False)
    network, place = pair.network, pair.network.clients[0]
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    before = {end: _leave_none(end_of(pair, end).process) for end in ENDS}
    opened = {end: descriptors(end_of(pair, end)) for end in ENDS}
    cut_at = network.uplink_down(place, 0)
    went_on = streams.wait_resumed(cut_at, 20)
    pause(2, 'the other uplink carries')
    none = all(sum(descriptors(end_of(pair, end)).values()) <= sum(opened[end].values()) for end in ENDS)
    for end in ENDS:
        resource.prlimit(end_of(pair, end).process.pid, resource.RLIMIT_NOFILE, before[end])
    result = watch.result(cut_at, cut_at, streams)
    network.uplink_up(place, 0)
    pause(2, 'the first one is back')
    cut_again = network.uplink_down(place, 1)
    result['facts'] |= {'went_on': went_on, 'there_was_none': none,
                        'came_back': streams.wait_resumed(cut_again, 20)}
    return result
