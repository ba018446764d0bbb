# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic through a tunnel, and the gaps an event tears into it.

Owns the two traffic.py processes of one client and the reading of their records: which packets
arrived, when, and which never did. Knows nothing of what the event was. Read next: story.py.
"""
import os

from .openvpn import TUNNEL_SERVER
from .run import now_ns, poll_until, seconds, wait_until

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'traffic.py')
_SECOND = 1_000_000_000
# The first ports; each further client of a server takes the next ten.
_PORT = 7000
# A stall may begin this much after the event: packets were on their way, or held and then let go.
_AFTERMATH = _SECOND // 2
_JITTER = _SECOND // 50


class Record:
    """A record file that is still being written: what arrived at one end, read on from where we were."""

    def __init__(self, path):
        self._path = path
        self._read = 0
        self.arrivals = {'udp': [], 'tcp': []}  # (number, sent, arrived) in order of arrival
        self.ready_at = None                     # when this end began
        self.connections = []                    # when each TCP connection was opened
        self.lost = []                           # (when, why) each one was lost

    def update(self):
        with open(self._path, encoding='ascii') as file:
            file.seek(self._read)
            text = file.read()
        whole = text[:text.rfind('\n') + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            kind, *words = line.split(' ', 3)
            if kind in self.arrivals:
                self.arrivals[kind].append(tuple(int(word) for word in words))
            elif kind == 'ready':
                self.ready_at = int(words[0])
            elif kind == 'open':
                self.connections.append(int(words[0]))
            elif kind == 'lost':
                self.lost.append((int(words[0]), ' '.join(words[1:])))
        return self


class Stream:
    """One direction of one kind of traffic."""

    def __init__(self, name, record, kind):
        self.name = name
        self._record = record
        self._kind = kind

    def arrivals(self):
        return self._record.update().arrivals[self._kind]

    def silent_for(self):
        """Seconds since the last arrival; None before the first. For a live display."""
        arrivals = self.arrivals()
        return seconds(now_ns() - arrivals[-1][2]) if arrivals else None

    def flows_since(self, instant, packets=5):
        """Whether packets sent after this instant arrive."""
        return sum(1 for _, sent, _ in self.arrivals()[-4 * packets:] if sent >= instant) >= packets

    def back_after(self, instant):
        """Seconds from this instant to the first arrival of what was sent after it; None: nothing came."""
        first = next((arrived for _, sent, arrived in self.arrivals() if sent >= instant), None)
        return None if first is None else seconds(first - instant)

    def count(self, since, until):
        """How many packets arrived in this time."""
        return sum(1 for _, _, arrived in self.arrivals() if since <= arrived < until)

    def missed_since(self, instant):
        """How many packets sent after this instant were overtaken by a later one without arriving."""
        numbers = {number for number, sent, _ in self.arrivals() if sent >= instant}
        return max(numbers) - min(numbers) + 1 - len(numbers) if numbers else None

    def outage(self, cut_at, usable_at):
        """
        The longest silence around an event that began at cut_at, with a usable path from usable_at on.

        gap_s: between the two arrivals around it; None: nothing came any more. back_s: from usable_at
        to its end. lost: packets sent since just before the event that never arrived. later_gap_s:
        the longest silence after that.
        """
        arrivals = [a for a in self.arrivals() if a[2] >= cut_at - _SECOND]
        times = [a[2] for a in arrivals]
        silences = [(end - begin, begin, end) for begin, end in zip(times, times[1:])]
        around = [s for s in silences if s[2] >= cut_at and s[1] <= usable_at + _AFTERMATH]
        # Silent to this moment, and for longer than a jitter: it has not come back at all.
        if not around or not times or times[-1] < usable_at:
            return {'gap_s': None, 'back_s': None, 'lost': None, 'later_gap_s': None}
        # The first of about equal ones: without a real gap the longest is any jitter later on.
        longest = max(around)[0]
        length, _, end = next(s for s in around if s[0] >= longest - min(_JITTER, longest // 4))
        numbers = {a[0] for a in arrivals if a[1] >= cut_at - _SECOND // 5}
        later = [s[0] for s in silences if s[1] >= end]
        return {'gap_s': seconds(length), 'back_s': seconds(max(0, end - usable_at)),
                'lost': max(numbers) - min(numbers) + 1 - len(numbers) if numbers else None,
                'later_gap_s': seconds(max(later)) if later else 0.0}


class Streams:
    """The traffic between one client and the server of a pair."""

    def __init__(self, pair, client=None, downlink=True, uplink=True, tcp=True, flowing=True):
        """flowing: come back only when each stream does; else as soon as they send."""
        client = client or pair.clients[0]
        index = pair.clients.index(client)
        port = _PORT + 10 * index
        prefix = f'{pair.label}-{client.name}'
        paths = {end: f'{pair.folder}/{client.name}-{end}.record' for end in ('here', 'there')}
        here, there = (['/usr/bin/python3', _PROGRAM, '--record', paths[end]] for end in ('here', 'there'))
        if downlink:
            here += ['--receive', str(port)]
            there += ['--send', f'{client.tunnel_address()}:{port}']
        if uplink:
            there += ['--receive', str(port + 1)]
            here += ['--send', f'{TUNNEL_SERVER}:{port + 1}']
        if tcp:
            there += ['--listen', str(port + 2)]
            here += ['--connect', f'{TUNNEL_SERVER}:{port + 2}']
        # Whoever receives is ready before anyone sends; with nothing but a downlink that is the client.
        ends = [(here, 'here', client.namespace), (there, 'there', pair.server.namespace)]
        for words, end, namespace in ends if downlink and not tcp else reversed(ends):
            process = pair.run.start(words, f'{prefix}-{end}.log', namespace)
            wait_until(lambda: os.path.exists(paths[end]) or not process.running(), 20, f'traffic {prefix} {end}')
        self._records = {end: Record(path) for end, path in paths.items()}
        here, there = self._records['here'], self._records['there']
        self.streams = {stream.name: stream for stream, wanted in (
            (Stream('downlink', here, 'udp'), downlink), (Stream('uplink', there, 'udp'), uplink),
            (Stream('tcp', here, 'tcp'), tcp)) if wanted}
        if not flowing:
            return
        start = now_ns()
        wait_until(lambda: all(s.flows_since(start) for s in self.streams.values()), 10, f'traffic of {prefix} flows')

    def wait_resumed(self, since, timeout, names=None):
        """Wait until packets sent after this instant arrive on each stream. False: not all of them did."""
        wanted = [stream for name, stream in self.streams.items() if names is None or name in names]
        return bool(poll_until(lambda: all(stream.flows_since(since) for stream in wanted), timeout, step=0.05))

    def began(self, end):
        """When the end "here" (the client) or "there" (the server) began to send."""
        return self._records[end].update().ready_at

    def back(self, instant):
        """Seconds from this instant until what was sent after it arrives: downlink_back_s and so on."""
        return {f'{name}_back_s': stream.back_after(instant) for name, stream in self.streams.items()}

    def connections(self):
        """How many TCP connections there have been; 1 means that none was ever lost."""
        return len(self._records['here'].update().connections)

    def figures(self, cut_at, usable_at):
        """The outage of each stream as one flat table: downlink_gap_s and so on."""
        return {f'{name}_{key}': value for name, stream in self.streams.items()
                for key, value in stream.outage(cut_at, usable_at).items()
                if not (name == 'tcp' and key == 'lost')}
