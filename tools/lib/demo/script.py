# SPDX-License-Identifier: GPL-2.0-or-later
"""The events, in order, on both lanes at the same moments.

Owns the times, the words of the announcements, and one row of results for each event and lane.
How a network is broken and how a gap is measured is the lab's. Read next: ending.py.
"""
import dataclasses
import time

from lab.run import Fault, now_ns

_SECOND = 1_000_000_000
_TICK_S = 0.2

REBIND = 'NAT rebinding: the router forgets the client; only the server sends'
ADDRESS = 'another address: the client moves to another network'
HOLE = 'a hole: no packet gets through for {:.0f} s; an inner TCP is open'
RETURN = 'the path is back'
STOP = 'stop: clients, then servers'

# Seconds before an event, in which the next one is announced, and that each event gets at least.
_SILENT_BEFORE_REBIND = 6
_BEFORE_ADDRESS = 6
_BEFORE_HOLE = 6
_BEFORE_STOP = 4
_AT_LEAST = 3
# How long the slower lane may take. Bare OpenVPN needs its own ping after a rebinding, one in 10 s; bare charon does not
# come back at all, so it is helped.
_LIMIT_REBIND = 20
_LIMIT_ADDRESS = 30
_LIMIT_HELP = 15


def _limit_hole(length):
    # A bare inner TCP's next try can be as far away as the hole was long.
    return max(30, 1.2 * length + 20)


def expected_s(hole_s, host):
    """About how long it takes: what is waited for is the bare inner TCP's first try after the hole."""
    attempt = 0.23  # after the first loss; from then on each wait is as long as all before it
    while attempt < hole_s:
        attempt *= 2
    return 2 + _SILENT_BEFORE_REBIND + min(host.back_after_rebind_s, _LIMIT_REBIND) + _BEFORE_ADDRESS + _AT_LEAST + _BEFORE_HOLE + attempt + _BEFORE_STOP + 2


@dataclasses.dataclass
class Row:
    event: str
    lane: str
    downtime_s: float | None = None
    back_s: float | None = None
    tcp_back_s: float | None = None
    session: str | None = None       # same, new, lost; None: it has no such thing
    virtual_ip: str | None = None
    connection: str | None = None
    handshakes: int = 0
    spis: str | None = None          # same, new; None: it has no such thing
    measured: bool = True            # False: an event without a gap to measure
    waited_s: float = 0              # so long, where nothing came back
    wrong: list = dataclasses.field(default_factory=list)


class Script:
    def __init__(self, board, screen, hole_s, host):
        self._host = host
        self._board = board
        self._screen = screen
        self._hole_s = hole_s
        self.rows = []

    def play(self):
        board = self._board
        self._start()
        self._until(board.origin + 2 * _SECOND + _SILENT_BEFORE_REBIND * _SECOND, f'(2) {REBIND}')
        self._event(2, 'NAT rebinding', REBIND, lambda lane: lane.pair.network.rebind(lane.pair.network.clients[0]),
                    _LIMIT_REBIND, f'(3) {ADDRESS}')
        for lane in board.lanes:
            self._help(lane)
            lane.open_both_ways()
        self._pause(_BEFORE_ADDRESS, f'(3) {ADDRESS}')
        self._event(3, 'another address', ADDRESS,
                    lambda lane: lane.pair.network.change_address(lane.pair.network.clients[0]),
                    _LIMIT_ADDRESS, f'(4) {HOLE.format(self._hole_s)}')
        self._pause(_BEFORE_HOLE, f'(4) {HOLE.format(self._hole_s)}')
        self._hole()
        self._pause(_BEFORE_STOP, f'(5) {STOP}')
        self._stop()
        return self.rows

    # Waiting, with the picture alive meanwhile.

    def _tick(self, until):
        self._board.sample()
        self._screen.show(self._board)
        time.sleep(max(0, min(_TICK_S, (until - now_ns()) / _SECOND)))

    def _until(self, instant, announcement):
        self._board.announce(announcement, instant)
        while now_ns() < instant:
            self._tick(instant)

    def _pause(self, duration, announcement):
        self._until(now_ns() + int(duration * _SECOND), announcement)

    def _until_back(self, usable_at, limit, announcement):
        """Until traffic flows on both lanes, at least _AT_LEAST and at most limit seconds."""
        begun = now_ns()
        self._board.announce(announcement, begun + int(limit * _SECOND), waits=True)
        while now_ns() < begun + _AT_LEAST * _SECOND or (
                now_ns() < begun + limit * _SECOND
                and not all(lane.flows_since(usable_at[lane]) for lane in self._board.lanes)):
            self._tick(begun + int(limit * _SECOND))

    def _help(self, lane):
        if lane.flows_since(now_ns() - _SECOND):
            return
        if lane.plugin:
            raise Fault('with jumping no traffic is back after the NAT rebinding: there is nothing to go on with')
        lane.help()
        begun = now_ns()
        while not lane.flows_since(begun):
            if now_ns() > begun + _LIMIT_HELP * _SECOND:
                raise Fault(f'{lane.short}: nothing flows, not even by a new connection')
            self._tick(now_ns() + int(_TICK_S * _SECOND))

    # The events.

    def _start(self):
        self._board.event(1, f'start: two {self._host.title} pairs, each with a router and a server 20 ms away')
        self._board.announce(f'(2) {REBIND}')
        self._screen.show(self._board)
        for lane in self._board.lanes:
            lane.pair.start()
            self._board.sample()
            self._screen.show(self._board)
        for lane in self._board.lanes:
            lane.open_downlink()
            self.rows.append(Row('1 start', lane.short, session='new' if lane.plugin else None, virtual_ip='new',
                                 handshakes=lane.client.handshakes(), measured=False))

    def _event(self, number, name, headline, act, limit, announcement):
        """An event that is over at once: cut and usable again at (nearly) the same moment."""
        before = self._before()
        self._board.event(number, headline)
        cut, usable = {}, {}
        for lane in self._board.lanes:
            cut[lane] = now_ns()
            usable[lane] = act(lane)
        self._until_back(usable, limit, announcement)
        self._after(f'{number} {name}', before, cut, usable)

    def _hole(self):
        before = self._before()
        self._board.event(4, HOLE.format(self._hole_s))
        cut = {lane: lane.pair.network.hole(True) for lane in self._board.lanes}
        self._pause(self._hole_s, RETURN)
        usable = {lane: lane.pair.network.hole(False) for lane in self._board.lanes}
        self._board.event('+', RETURN)
        self._until_back(usable, _limit_hole(self._hole_s), f'(5) {STOP}')
        self._after(f'4 hole of {self._hole_s:.0f} s', before, cut, usable)

    def _stop(self):
        self._board.event(5, STOP)
        self._board.announce('the table, the audit log, the picture')
        for lane in self._board.lanes:
            handshakes = lane.client.handshakes()
            lane.stopped_at = now_ns()
            for daemon in (lane.client, lane.pair.server):
                daemon.process.stop()
            self.rows.append(Row('5 stop', lane.short, session=self._ended(lane), handshakes=handshakes - 1,
                                 measured=False))
            lane.state, lane.mood = ('TERMINATED' if lane.plugin else 'stopped'), 'note'
            self._screen.show(self._board)

    @staticmethod
    def _ended(lane):
        """Whether it is the session of the beginning that was ended now."""
        if not lane.plugin:
            return None
        born = [e['session_id'] for e in lane.client.end.events() if e.get('new_state') == 'ATTACHED']
        ended = [e['session_id'] for e in lane.client.end.events() if e.get('new_state') == 'TERMINATED']
        return 'same' if born and ended == born[:1] else 'lost'

    # Before and after.

    def _before(self):
        return {lane: (self._host.watch(lane.pair, lane.client), lane.virtual_ip(), lane.connections())
                for lane in self._board.lanes}

    def _after(self, name, before, cut, usable):
        for lane in self._board.lanes:
            watch, virtual_ip, connections = before[lane]
            result = watch.result(cut[lane], usable[lane], lane.streams, limit=0.1, settle=0)
            figures, facts = result['figures'], result['facts']
            row = Row(name, lane.short, figures['downlink_gap_s'], figures['downlink_back_s'],
                      figures.get('tcp_back_s'), handshakes=facts['handshakes'],
                      virtual_ip='same' if lane.virtual_ip() == virtual_ip else 'lost')
            if connections:
                row.connection = 'same' if lane.connections() == connections == 1 else 'lost'
            row.waited_s = (now_ns() - usable[lane]) / _SECOND
            if self._host.spis:
                row.spis = 'same' if facts['same_ike_spis'] and facts['same_esp_spis'] else 'new'
            if lane.plugin:
                row.session = 'same' if result['session']['same'] else 'lost'
                row.wrong = self._host.survived(result, moved=True)
                row.wrong += [] if row.virtual_ip == 'same' else ['the virtual IP is the same']
                row.wrong += lane.untrue()
            self.rows.append(row)
