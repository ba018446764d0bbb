# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's clock is set forward and back, it is slewed, and the machine is suspended: what counts is CLOCK_BOOTTIME.

In a machine of its own (--kernel), whose clock may be set. Both ends are in it, and both are suspended. Read next: ../uml.py.
"""
import ctypes
import time

from .. import uml
from ..run import Fault, now_ns, poll_until, seconds
from ..siege import expect_claims, on_both
from ..story import pause
from ..streams import Streams

_TTL_S = 6
_STEPS_H = (2, -26)
_SLEW_S = 0.4
_NAP_S = 3
_SLEEP_S = _TTL_S + 4


class _Ends:
    """A pair's session through all of it, and the sentences."""

    def __init__(self, story):
        self.pair = story.pair(policy={'transport_lost_ttl_ms': _TTL_S * 1000, 'recovery_window_ms': _TTL_S * 1000})
        self.streams = Streams(self.pair, tcp=False)
        self.began = now_ns()
        self.first = self.pair.attached()
        self.claims = {}

    def claim(self, sentence, holds):
        self.claims[sentence] = bool(holds)

    def events(self, since, *kinds):
        ends = {'client': self.pair.clients[0].end, 'server': self.pair.server.end}
        return {name: [e for e in end.events(since) if e['event_type'] in kinds] for name, end in ends.items()}

    def goes_on(self, what, since):
        self.claim(f'A35: {what}: traffic flows', self.streams.wait_resumed(now_ns(), 10))
        views = poll_until(self.pair.is_attached, 10, 0.05)
        self.claim(f'A35: {what}: it is the same session, ATTACHED at both ends',
                   views and views[0]['session_id'] == self.first[0]['session_id'])
        ended = self.events(since, 'SessionTerminated')
        self.claim(f'A35: {what}: nothing ended', not any(ended.values()))
        return views


def _step(ends, hours):
    since = now_ns()
    time.clock_settime(time.CLOCK_REALTIME, time.time() + 3600 * hours)
    pause(2, f'the clock is set by {hours} h')
    what = f'the clock steps by {hours} h'
    ends.goes_on(what, since)
    changes = ends.events(since, 'SessionStateChange')
    ends.claim(f'A35: {what}: no state changes ({[e["reason_code"] for each in changes.values() for e in each]})'.replace(' ([])', ''),
               not any(changes.values()))
    ends.claim(f'A35: {what}: no packet is lost', all((s.missed_since(since) or 0) == 0 for s in ends.streams.streams.values()))


class _Span(ctypes.Structure):
    _fields_ = [('seconds', ctypes.c_long), ('micros', ctypes.c_long)]


def _slew(ends):
    since = now_ns()
    for sign in (1, -1):
        if ctypes.CDLL(None).adjtime(ctypes.byref(_Span(0, round(sign * _SLEW_S * 1e6))), None) != 0:
            raise Fault('adjtime')
        pause(1, 'the clock is slewed')
    ends.goes_on('the clock is slewed', since)
    ends.claim('A35: the clock is slewed: no state changes', not any(ends.events(since, 'SessionStateChange').values()))


def _nap(ends):
    since = now_ns()
    uml.suspend(_NAP_S)
    ends.claim('A35: a short suspension: the machine stood still', seconds(now_ns() - since) >= _NAP_S - 0.5)
    ends.goes_on('a short suspension', since)


def _sleep(ends):
    """The path goes, and the machine is suspended for longer than the bounds: they are over when it wakes."""
    since = ends.pair.network.hole(True)
    lost = poll_until(lambda: all(any(e['new_state'] == 'RECOVERING' for e in each) for each in ends.events(
        since, 'SessionStateChange').values()), _TTL_S / 2, 0.05)
    ends.claim('A35: a long suspension: both ends had noticed that the path is gone', lost)
    uml.suspend(_SLEEP_S)
    woke = now_ns()
    over = poll_until(lambda: (said := ends.events(since, 'SessionTerminated')) and all(said.values()) and said, _TTL_S / 2, 0.05)
    ends.claim('A35: a long suspension: both ends end when it is over, at their bounds', over and all(
        each[0]['reason_code'] in ('recovery_window_exceeded', 'transport_ttl_exceeded') for each in over.values()))
    ends.pair.network.hole(False)
    return {f'a35_{end}_ended_after_waking_s': seconds(each[0]['mono_ns'] - woke) for end, each in (over or {}).items() if each}


@on_both('a35-clock', 'A35: the clock steps and is slewed, the machine is suspended (--kernel: a machine whose clock may be set)',
         expect_claims, variants=(('--kernel',),), strongswan={'variants': ()}, attacks=('A35 --kernel',))
def a35_clock(story):
    if not uml.inside():
        raise Fault('this sets the clock: run it with --kernel')
    ends = _Ends(story)
    pause(1, 'traffic both ways')
    for hours in _STEPS_H:
        _step(ends, hours)
    _slew(ends)
    _nap(ends)
    figures = _sleep(ends)
    for name, end in (('client', ends.pair.clients[0].end), ('server', ends.pair.server.end)):
        times = [e['mono_ns'] for e in end.events(ends.began)]
        ends.claim(f'A35: in the {name}\'s audit time never goes back', times == sorted(times))
        shown = [e['ts_ms'] - e['mono_ns'] // 1000000 for e in end.events()]
        ends.claim(f'A35: the {name}\'s process was under the clock that was set',
                   abs(shown[-1] - shown[0] - 3600000 * sum(_STEPS_H)) < 60000)
    return {'figures': figures, 'facts': ends.claims}
