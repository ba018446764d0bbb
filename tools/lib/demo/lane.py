# SPDX-License-Identifier: GPL-2.0-or-later
"""One pair of the demo, and everything that can be seen of it at this moment.

Breaks nothing and judges nothing. Read next: hosts.py, what is particular to OpenVPN and to strongSwan; script.py,
which plays the events on two of them.
"""
from lab.run import Fault, now_ns
from lab.streams import Streams

from .history import NOTHING, SILENCE_NS, History

# Silences of TCP that are worth a line: its shortest retransmission timeout is 0.2 s.
_TCP_SILENCE_NS = 500_000_000


class Lane:
    def __init__(self, host, title, short, pair, origin):
        self.host = host
        self.title = title
        self.short = short
        self.pair = pair
        self.client = pair.clients[0]
        self.plugin = bool(self.client.end)
        self.stopped_at = None
        self.streams = None
        self.state, self.mood = 'starting', 'note'
        self.binding = self.session = self.generation = self.address = self.rtt_ms = None
        self.handshakes = 0
        self.histories = {'downlink': History(origin), 'tcp': History(origin)}
        self._seen = {'handshakes': 0, 'records': {}, 'connections': 0}
        self._noticed, self._between = [], []

    # Traffic: two sets of streams under one name, as they begin at different times.

    def open_downlink(self):
        """Only the server sends; nothing on the client's side answers."""
        self.streams = Streams(self.pair, uplink=False, tcp=False)

    def open_both_ways(self):
        """The client sends too, and an inner TCP connection is opened. The downlink goes on as it is."""
        more = Streams(self.pair, downlink=False)
        more.streams = self.streams.streams | more.streams
        self.streams = more

    def flows_since(self, instant):
        return all(stream.flows_since(instant) for stream in self.streams.streams.values())

    def stream(self, name):
        return self.streams.streams.get(name) if self.streams else None

    def connections(self):
        return self.streams.connections() if self.stream('tcp') else 0

    def virtual_ip(self):
        try:
            return self.client.tunnel_address()
        except (Fault, IndexError, KeyError, StopIteration):
            return None  # no tunnel, or none with an address

    # What is to be seen.

    def sample(self):
        """Look at everything once. Returns what was noticed since the last time: (instant, text, kind)."""
        self._noticed, self._between = self._between, []
        if self.stopped_at or not self.client.process:
            return []
        self._look_at_traffic()
        if self.plugin:
            self._look_at_sessions()
            self._look_at_audit()
        else:
            self.look_at_host()
        self.handshakes = self.client.handshakes()
        if not self.address or self.handshakes != self._seen['handshakes']:
            self.address = self.virtual_ip() or self.address
        self.count('handshakes', self.handshakes, f'{self.host.handshake} completed', 'note')
        return self._noticed

    def cells(self, name, now, count):
        """The newest `count` seconds of one kind of traffic, as history.py names them."""
        history, end = self.histories[name], self.stopped_at or now
        after = min(count, history.cell(now) - history.cell(end))
        return history.cells(end, count - after) + after * [NOTHING]

    def gap_s(self):
        """Seconds since the last packet from the server, None as long as there is no gap."""
        downlink = self.stream('downlink')
        silent = downlink.silent_for() if downlink and not self.stopped_at else None
        return silent if silent and silent * 1e9 > SILENCE_NS else None

    def tcp_words(self):
        """(text, kind) of the inner TCP connection."""
        tcp = self.stream('tcp')
        if not tcp or self.stopped_at:
            return ('closed' if self.stopped_at else 'not open yet'), 'note'
        which = 'the same connection' if self.connections() == 1 else f'connection number {self.connections()}'
        silent = tcp.silent_for()
        if silent is not None and silent * 1e9 <= _TCP_SILENCE_NS:
            return f'flows, {which}', 'good' if self.connections() == 1 else 'bad'
        return f'stands still for {silent or 0:.1f} s', 'bad'

    def _notice(self, at, text, kind):
        self._noticed.append((at, text, kind))

    def notice_now(self, text, kind):
        """Between two looks; the next one tells of it."""
        self._between.append((now_ns(), text, kind))

    def count(self, key, value, text, kind):
        """Notice it each time that it grows."""
        if value > self._seen.get(key, 0):
            self._notice(now_ns(), text, kind)
        self._seen[key] = value

    def look_at_host(self):
        """Without the plugin: state, mood and binding, from logs and what the host itself says."""

    def untrue(self):
        """What the host itself says of a session and should not, as sentences that do not hold."""
        return []

    def help(self):
        """Bring it back where it does not come back by itself. OpenVPN does."""

    def _look_at_traffic(self):
        for name, words in (('downlink', 'traffic is back'), ('tcp', 'the inner TCP connection goes on')):
            if not (stream := self.stream(name)):
                continue
            for begin, end in self.histories[name].take(stream.arrivals()):
                if end - begin > (SILENCE_NS if name == 'downlink' else _TCP_SILENCE_NS):
                    self._notice(end, f'{words} after {(end - begin) / 1e9:.1f} s of silence', 'good')
        if self.stream('tcp'):
            if self.connections() > max(1, self._seen['connections']):
                self._notice(now_ns(), 'another inner TCP connection: the first one is lost', 'bad')
            self._seen['connections'] = self.connections()
        self.rtt_ms = self._traffic_rtt()

    def _traffic_rtt(self):
        """Of the newest inner TCP answer; without one twice the newest datagram's way. None in a gap."""
        for name, times in (('tcp', 1), ('downlink', 2)):
            stream = self.stream(name)
            if stream and (arrivals := stream.arrivals()) and stream.silent_for() * 1e9 < SILENCE_NS:
                _, sent, at = arrivals[-1]
                return times * (at - sent) / 1e6
        return None

    def _look_at_sessions(self):
        views = {'client': self.client.end.sessions(), 'server': self.pair.server.end.sessions()}
        states = {end: sessions[0]['state'] if sessions else 'none' for end, sessions in views.items()}
        if states['client'] == states['server']:
            self.state = states['client']
        else:
            self.state = ', '.join(f'{end} {state}' for end, state in states.items())
        self.mood = 'good' if self.state == 'ATTACHED' else 'bad' if 'TERMINATED' in self.state else 'note'
        if views['server']:
            theirs = views['server'][0]
            self.session, self.generation = theirs['session_id'], theirs['generation']
            self.binding = theirs.get('binding', 'none for now').removeprefix('udp ')
        if views['client'] and self.rtt_ms is not None:
            self.rtt_ms = views['client'][0].get('rtt_ms') or self.rtt_ms

    def _look_at_audit(self):
        for name, end in (('client', self.client.end), ('server', self.pair.server.end)):
            records = end.events()
            for record in records[self._seen['records'].get(name, 0):]:
                if record.get('event_type') == 'SessionStateChange':
                    state = record['new_state']
                    self._notice(record['mono_ns'], f'{name} {record["previous_state"]} -> {state} '
                                 f'({record.get("reason_code", "")})', 'good' if state == 'ATTACHED' else 'note')
            self._seen['records'][name] = len(records)
