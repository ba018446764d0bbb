# SPDX-License-Identifier: GPL-2.0-or-later
"""What the script wants people to see: the event of the moment, the next one, what has happened.

Owns no terminal and no measurement. Read next: script.py, which fills it; picture.py and
screen.py, which show it.
"""
import dataclasses

from lab.run import now_ns


@dataclasses.dataclass
class Happening:
    at: int
    lane: object  # None: of both, an event
    text: str
    kind: str     # event, good, bad, note


class Board:
    def __init__(self, lanes, title, expected_s):
        self.origin = now_ns()
        self.lanes = lanes
        self.title = title      # of the host
        self.expected_s = expected_s
        self.now = ''
        self.next = ''
        self.next_at = None     # when the next event comes; None: now, or nobody knows
        self._waits = False
        self.happenings = []
        self.marks = []         # (instant, number) of each event

    def event(self, number, headline):
        at = now_ns()
        self.now = f'({number}) {headline}'
        self.marks.append((at, number))
        self.happenings.append(Happening(at, None, self.now, 'event'))

    def announce(self, text, at=None, waits=False):
        """at: when it comes; waits: it comes when both lanes are back, but not later."""
        self.next, self.next_at, self._waits = text, at, waits

    def next_words(self):
        """The announcement with its countdown."""
        if self.next_at is None:
            return self.next
        left = f'{max(0, (self.next_at - now_ns()) / 1e9):.0f} s'
        return f'{f"when both are back, in {left} at most" if self._waits else f"in {left}"}: {self.next}'

    def clock(self, instant=None):
        """Minutes and seconds since the beginning."""
        passed = max(0, ((instant or now_ns()) - self.origin) // 1_000_000_000)
        return f'{passed // 60}:{passed % 60:02d}'

    def sample(self):
        """Look at both lanes; what they noticed goes into the list in the order of time."""
        new = [Happening(at, lane, text, kind) for lane in self.lanes for at, text, kind in lane.sample()]
        self.happenings += sorted(new, key=lambda happening: happening.at)
