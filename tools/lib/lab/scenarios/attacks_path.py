# SPDX-License-Identifier: GPL-2.0-or-later
"""The path itself is the enemy: it loses, damages, doubles, disorders and delays, and the kernel refuses to send.

Read next: attacks_neighbour.py.
"""
import itertools
import time

from ..run import now_ns, poll_until
from ..siege import Siege, expect_claims, on_both
from ..story import pause

_LOSSES = (20, 40)
_DAMAGE = {'corrupt': 20, 'duplicate': 10, 'reorder': 10}
_DAMAGE_S, _SEEN_S = 6, 30
_SPIKES, _SPIKE_MS, _SPIKE_S = 3, 400, 0.2
_REFUSED_S = 1.5
_RATE, _FLAPS, _FLAP_S = 3, 6, 1.0
_MINUTE_NS = 60_000_000_000


def _wire_counts(siege):
    """netdelay's counters: {'dropped': packets of both directions, ...}."""
    words = (word.split('=') for word in siege.network.wire.set().split()[1:])
    return {key: sum(int(count) for count in counts.split(',')) for key, counts in words}


def _alive(siege, row, what, before):
    """Same session, at both ends ATTACHED in the end; returns how often the server was bound anew."""
    views = poll_until(siege.pair.is_attached, 15, 0.05)
    siege.claim(f'{row}: {what}: ATTACHED at both ends afterwards', views)
    siege.claim(f'{row}: {what}: the same session', views and views[0]['session_id'] == before[0]['session_id'])
    siege.claim(f'{row}: {what}: one generation at both ends', poll_until(
        lambda: (v := siege.look()) and v[0]['generation'] == v[1]['generation'], 5))
    return views[1]['generation'] - before[1]['generation'] if views else None


def _loss(siege, length):
    """A01: the path is the same all the time, so a death of it that is false costs a round trip and no session."""
    before, since = siege.look(), now_ns()
    for percent in _LOSSES:
        counts = _wire_counts(siege)
        siege.network.wire.set(loss=percent)
        pause(length, f'{percent} % loss each way')
        siege.claim(f'A01: {percent} % loss: packets were lost', _wire_counts(siege)['dropped'] > counts['dropped'])
    siege.network.wire.set(loss=0)
    time.sleep(0.5)
    bound = _alive(siege, 'A01', 'loss', before)
    states = [event['new_state'] for event in siege.events('client', since, 'SessionStateChange')]
    siege.figures['a01_false_deaths'] = states.count('RECOVERING')
    siege.claim('A01: loss: the binding is the same', siege.look()[1]['binding'] == before[1]['binding'])
    siege.claim('A01: loss: three false deaths at most', states.count('RECOVERING') <= 3 and bound <= 3)
    siege.claim('A01: loss: the client called the path VOLATILE', 'VOLATILE' in states)


def _damage(siege):
    """A07: bits turned behind the headers, frames twice and in another order: seen, refused, never bound."""
    before, counts, since = siege.look(), _wire_counts(siege), now_ns()
    siege.network.wire.set(**_DAMAGE)
    pause(_DAMAGE_S, 'damaged, doubled and disordered packets')
    # A copy alone is SecurityReplayDetected: that is not the damage. Chance has it which of the few messages are hit.
    recorded = poll_until(lambda: [e for end in ('client', 'server') for e in siege.events(
        end, since, 'SecurityValidationFailed')], _SEEN_S, 0.2)
    siege.network.wire.set(**dict.fromkeys(_DAMAGE, 0))
    time.sleep(0.5)
    after = _wire_counts(siege)
    for word in ('corrupted', 'duplicated', 'reordered'):
        siege.claim(f'A07: packets were {word}', after[word] > counts[word])
    _alive(siege, 'A07', 'damage', before)
    siege.claim('A07: the binding is the same', siege.look()[1]['binding'] == before[1]['binding'])
    siege.claim('A07: it is visible in the audit', recorded)


def _spikes(siege):
    """A08: everything takes 400 ms once, for a moment: nothing switches."""
    before, since = siege.look(), now_ns()
    for _ in range(_SPIKES):
        siege.network.wire.set(delay=_SPIKE_MS)
        time.sleep(_SPIKE_S)
        siege.network.wire.set(delay=10)
        time.sleep(1.3)
    late = [arrived for stream in siege.streams.streams.values() for _, sent, arrived in stream.arrivals()
            if sent >= since and arrived - sent > _SPIKE_MS * 750_000]
    siege.claim('A08: spikes of latency: packets were late', len(late) >= _SPIKES)
    bound = _alive(siege, 'A08', 'spikes of latency', before)
    siege.claim('A08: spikes of latency: no switch', bound == 0)


def _refused(siege, end):
    """A36: the kernel says EPERM for each packet of one side, and meanwhile the mapping changes."""
    namespace = {'server': siege.network.server, 'client': siege.place.namespace}[end]
    port = 'sport' if end == 'server' else 'dport'
    before, since = siege.look(), now_ns()
    siege.network.inside(namespace, 'nft', f'table ip refuse {{ chain out {{ type filter hook output priority 0; '
                         f'udp {port} {siege.carrier.port} counter drop; }}; }}')
    siege.network.rebind(siege.place)
    pause(_REFUSED_S, f'the {end}\'s kernel refuses to send')
    rules = siege.network.inside(namespace, 'nft', 'list', 'table', 'ip', 'refuse')
    siege.network.inside(namespace, 'nft', 'delete', 'table', 'ip', 'refuse')
    usable = now_ns()
    siege.claim(f'A36: {end}: packets were refused', 'packets 0 ' not in rules)
    _alive(siege, 'A36', end, before)
    siege.claim(f'A36: {end}: the session is bound to the new mapping', poll_until(
        lambda: siege.at_server()[1] in range(siege.place.ports, siege.place.ports + 500), 5))
    siege.claim(f'A36: {end}: traffic flows again', siege.streams.wait_resumed(usable, 10))


@on_both('a01-path', 'A01 A07 A08 A36: loss, damage, spikes of latency, a kernel that refuses to send', expect_claims,
         strongswan={'variants': ()}, attacks=('A01', 'A07', 'A08', 'A36'))
def a01_path(story):
    siege = Siege(story, policy={'max_switches_per_min': 60})
    pause(1, 'traffic both ways')
    _spikes(siege)
    _loss(siege, story.options.length / 3)
    _damage(siege)
    for end in ('client', 'server'):
        _refused(siege, end)
    return siege.result()


@on_both('a06-rate', 'A06: the mapping changes more often than the policy lets a session switch: it waits, and does not end',
         expect_claims, variants=(), attacks=('A06',))
def a06_rate(story):
    siege = Siege(story, policy={'max_switches_per_min': _RATE})
    before, since = siege.look(), now_ns()
    pause(1, 'traffic both ways')
    for _ in range(_FLAPS):
        siege.network.rebind(siege.place)
        pause(_FLAP_S, 'another mapping')
    denied = poll_until(lambda: [e for e in siege.events('server', since, 'TransportSwitchDenied')
                                 if e['reason_code'] == 'switch_rate_limited'], 5)
    siege.claim('A06: a switch is denied, switch_rate_limited', denied)
    siege.claim('A06: when the minute is over the client is back, in the same session', poll_until(
        lambda: (v := siege.pair.is_attached()) and v[0]['session_id'] == before[0]['session_id']
        and siege.at_server()[1] in range(siege.place.ports, siege.place.ports + 500), 90, 0.2))
    siege.claim('A06: traffic flows again', siege.streams.wait_resumed(now_ns(), 10))
    moved = [e['mono_ns'] for e in siege.events('server', since, 'TransportSwitch')]
    siege.claim(f'A06: {_RATE} switches in a minute, no more and no less', len(moved) > _RATE and all(
        later - first >= _MINUTE_NS for first, later in zip(moved, itertools.islice(moved, _RATE, None)))
        and moved[_RATE - 1] - moved[0] < _MINUTE_NS)
    siege.claim('A06: nothing was ever ended', not [e for end in ('client', 'server') for e in siege.events(
        end, since, 'SessionTerminated')])
    return siege.result()
