# SPDX-License-Identifier: GPL-2.0-or-later
"""Which seconds of a stream had traffic and which had none.

Owns the cells of the history bar, one for each second. Knows nothing of colours or terminals.
Read next: lane.py, which has one for each kind of traffic; picture.py, which draws them.
"""
_SECOND = 1_000_000_000
# Shorter silences are jitter: datagrams come every 20 ms, TCP answers every 50 ms.
SILENCE_NS = 150_000_000
# A cell is a gap when silence fills so much of it.
_GAP_SHARE = 0.75

NOTHING, TRAFFIC, PART, GAP = range(4)


class History:
    def __init__(self, origin):
        self._origin = origin
        self._taken = 0
        self._first = None  # the first arrival; before it there is nothing to miss
        self._last = None
        self._silent = {}   # cell: nanoseconds of silence in it

    def take(self, arrivals):
        """arrivals: all there have been so far, as of streams.Stream.arrivals(). Returns gaps that ended now."""
        ended = []
        for _, _, at in arrivals[self._taken:]:
            if self._last is None:
                self._first = at
            elif at - self._last > SILENCE_NS:
                self._spread(self._last, at, self._silent)
                ended.append((self._last, at))
            self._last = at
        self._taken = len(arrivals)
        return ended

    def cells(self, now, count):
        """The last `count` cells, the newest last."""
        silent = dict(self._silent)
        if self._last is not None and now - self._last > SILENCE_NS:
            self._spread(self._last, now, silent)
        newest = self.cell(now)
        return [self._kind(cell, silent.get(cell, 0), now) for cell in range(newest - count + 1, newest + 1)]

    def cell(self, instant):
        return (instant - self._origin) // _SECOND

    def _kind(self, cell, silent, now):
        if self._first is None or cell < self.cell(self._first):
            return NOTHING
        length = min(_SECOND, now - (self._origin + cell * _SECOND))
        if silent == 0:
            return TRAFFIC
        return GAP if silent >= _GAP_SHARE * length else PART

    def _spread(self, begin, end, silent):
        while begin < end:
            cell = self.cell(begin)
            until = min(end, self._origin + (cell + 1) * _SECOND)
            silent[cell] = silent.get(cell, 0) + until - begin
            begin = until
