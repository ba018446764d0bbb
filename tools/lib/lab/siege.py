# SPDX-License-Identifier: GPL-2.0-or-later
"""A pair under attack: where the attackers stand, and what an attack may not have changed.

Owns a pair, its traffic, the taps and forgers around it, and the sentences that came out true or false. Each sentence
begins with the id of its row in docs/requirements.md. Knows no single attack.
Read next: scenarios/attacks_replay.py.

A tap at the server's door sees what reached the server and what it answered, so that no attack counts as repelled
that never arrived.
"""
import collections
import re
import time

from . import attacker, charon_story, story as openvpn_story
from .attacker import TYPES, Forger, OpenVpnCarrier, StrongSwanCarrier, Tap
from .network import ROUTER_MAC, SERVER, SERVER_MAC
from .run import Fault, now_ns, poll_until, say
from .story import failed, timeline
from .streams import Streams

# Somebody else on the WAN, and a victim who never said anything.
STRANGER = ('203.0.113.66', 6666)
VICTIM = ('203.0.113.99', 9999)
# What counts a refusal; which one it is depends on the field that a random bit met.
REFUSALS = ('malformed', 'rate_limited', 'unknown_session', 'bad_proof', 'replayed', 'denied')
_KEPT = ('session_id', 'state', 'generation', 'state_version', 'binding')
# A process that gets no processor for some 0.4 s misses a heartbeat; nothing but the path's health changes by that.
_UNWELL = ('VOLATILE', 'DEGRADED')
_HEALTHS = ('ATTACHED', *_UNWELL)
_TRIES = 3


# What charon or OpenVPN say of a packet that they cannot make anything of.
_NOTICED = {'openvpn': r'opcode', 'strongswan': r'\[(?:ENC|NET)\] (?!jumping).*(?:parsing|invalid|unsupported|unknown)'}


def on_both(name, summary, expect, strongswan=None, **words):
    """
    Decorator: a scenario of this name on OpenVPN and on strongSwan, told by the same function.

    strongswan: words that differ there.
    """
    def register(function):
        openvpn_story.scenario(name, summary, expect, **words)(function)
        charon_story.scenario(name, summary, expect, **words | (strongswan or {}))(function)
        return function
    return register


def expect_claims(result):
    return failed(*((holds, sentence) for sentence, holds in result['facts'].items()))


def rows_unsaid(entry, result):
    """A scenario that shows a row by its sentences must have said one of it, or its name alone would show the row."""
    if entry.expect is not expect_claims:
        return []
    rows = {attack.split()[0] for attack in entry.attacks}
    return [f'{row}: a sentence of it was said' for row in sorted(rows)
            if not any(sentence.startswith(f'{row}: ') for sentence in result['facts'])]


class Siege:
    def __init__(self, story, streams=True, **pair):
        self.story = story
        self.host = story.host
        self.carrier = {'openvpn': OpenVpnCarrier, 'strongswan': StrongSwanCarrier}[story.host]
        self.server_at = (SERVER, self.carrier.port)
        self.pair = story.pair(**pair)
        self.network = self.pair.network
        self.client = self.pair.clients[0]
        self.place = self.network.clients[0]
        for address, _ in (STRANGER, VICTIM):
            self.network.add_public(address)
        run = story.run
        self.lan = Tap(run, self.network.router, f'lan{self.place.index}0', self.carrier.port)
        self.wan = Tap(run, self.network.router, 'wan', self.carrier.port)
        self.door = Tap(run, self.network.server, 'eth0', self.carrier.port)
        self.to_server = Forger(run, self.network.router, 'wan', SERVER_MAC)
        self.to_client = Forger(run, self.network.server, 'eth0', ROUTER_MAC)
        self.began = now_ns()
        self.streams = Streams(self.pair, tcp=False) if streams else None
        self._handshakes = self.client.handshakes()
        self._restarts = self._restarted()
        self.figures = {}
        self._claims = {}

    def _counters(self, daemon):
        """Those of the plugin; what a charon's carrier found malformed is one with what the core did."""
        table = daemon.end.counters()
        if self.host == 'strongswan':
            table['malformed'] = table.get('malformed', 0) + daemon.end.stats().get('carrier', {}).get('malformed', 0)
        return table

    def _restarted(self):
        """Only OpenVPN has something between a new connection and a new process."""
        return self.client.restarts() if self.host == 'openvpn' else 0

    # What can be said without a key: whole payloads, in the host's envelope.

    def message(self, sender, *kinds):
        """What Network.block takes for messages of these types from 'client' or 'server' on their way."""
        end = f'iifname "lan{self.place.index}0" udp dport' if sender == 'client' else f'oifname "lan{self.place.index}0" udp sport'
        numbers = ', '.join(str(TYPES.index(kind)) for kind in kinds or TYPES)
        return f'{end} {self.carrier.port} {self.carrier.match(numbers)}'

    def forged(self, *words, **more):
        return self.carrier.wrap(attacker.forged(*words, **more))

    def changed(self, payload, at, value):
        """A copy of a payload, its message changed from offset `at` of the message on."""
        return self.carrier.wrap(attacker.changed(self.carrier.unwrap(payload), at, value))

    def reframed(self, payload, change):
        """The same with change(message)."""
        return self.carrier.wrap(change(self.carrier.unwrap(payload)))

    def directed(self, payloads, by_client):
        """In an envelope of this direction, where the envelope has one: what is turned round must not fail for that."""
        out = []
        for payload in payloads:
            message = self.carrier.unwrap(payload)
            whole = message and payload in (self.carrier.wrap(message, True), self.carrier.wrap(message, False))
            out.append(self.carrier.wrap(message, by_client) if whole else payload)
        return out

    # What is seen.

    def look(self, client=None):
        """What each end says of the client's session, without what changes by itself."""
        views = self.pair.shared_session(client)
        return tuple({key: view.get(key) for key in _KEPT} for view in views) if views else None

    def at_server(self, client=None):
        """Where the server has the client now: (address, port)."""
        views = self.pair.shared_session(client)
        if not views or not views[1].get('binding'):
            raise Fault('the server has bound no path')
        address, port = views[1]['binding'].split()[-1].rsplit(':', 1)
        return address, int(port)

    def events(self, end, since, *kinds):
        daemon = {'server': self.pair.server, 'client': self.client}[end]
        return [event for event in daemon.end.events(since) if not kinds or event['event_type'] in kinds]

    def resident(self):
        """Kilobytes that the server's process has in memory."""
        with open(f'/proc/{self.pair.server.process.pid}/status', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))

    # What must hold.

    def claim(self, sentence, holds):
        """Said twice, it must hold both times. A false one is told at once: what comes of it may end the run without a verdict."""
        if not holds:
            say(f'  does not hold: {sentence}')
        self._claims[sentence] = bool(holds) and self._claims.get(sentence, True)

    @staticmethod
    def alike_but_health(before, after):
        """Two looks at a session: the same one at the same place, whatever its path's health was called."""
        return bool(before and after) and all(
            all(old[key] == new[key] for key in ('session_id', 'generation', 'binding'))
            and old['state'] in _HEALTHS and new['state'] in _HEALTHS for old, new in zip(before, after))

    def _spared(self, strike, clients):
        """
        Whether each of these clients' sessions was as it was before strike(), at both ends.

        On a busy machine a path may be called VOLATILE, or no more so, just then. What an attack does it does again: where
        nothing else differs it is done once more. Where a session is, and under which generation, is never chance.
        """
        for left in reversed(range(_TRIES)):
            poll_until(lambda: not any(view['state'] in _UNWELL for client in clients for view in self.look(client) or ()), 10, 0.1)
            before = [self.look(client) for client in clients]
            strike()
            after = [self.look(client) for client in clients]
            if before == after or not left or not all(map(self.alike_but_health, before, after)):
                return [bool(old) and old == new for old, new in zip(before, after)]
            say('  a path\'s health changed meanwhile: once more')

    def attack(self, row, what, payloads, source, recorded=None, counted=None, answers=(), settle=0.4, spacing=0.0, beside=()):
        """
        Send these to the server from this address: the session must be as it was, at both ends.

        recorded: the kind of event that the server's audit must have. counted: the counter of the server's that must
        have counted each of them. answers: the only types it may answer with. beside: other clients, whose sessions must
        be as they were too. Returns the answers.
        """
        payloads = self.directed(payloads, by_client=True)
        since, counters = now_ns(), self._counters(self.pair.server)
        wanted = list(payloads)

        def strike():
            began = now_ns()
            self.to_server.send_all(payloads, source, self.server_at, spacing)
            poll_until(lambda: self._arrived(wanted, source, began), 3)
            time.sleep(settle)
        spared = self._spared(strike, (self.client, *beside))
        self.claim(f'{row}: {what}: it reached the server', self._arrived(wanted, source, since))
        self.claim(f'{row}: {what}: the session is as it was, at both ends', spared[0])
        if beside:
            self.claim(f'{row}: {what}: so are the sessions of the others', all(spared[1:]))
        if recorded:
            self.claim(f'{row}: {what}: the server recorded {recorded}', self.events('server', since, recorded))
        if counted:
            self._claim_counted(row, what, 'server', self.pair.server, counters, counted, len(wanted))
        told = [d for d in self.door.find(since=since, target=source) if d.outgoing]
        if source != self.at_server():
            kinds = sorted({d.kind for d in told})
            self.claim(f'{row}: {what}: answered by {", ".join(answers) or "silence"} at most',
                       all(kind in answers for kind in kinds))
            came = sum(len(d.payload) for d in self.door.find(since=since, source=source))
            self.claim(f'{row}: {what}: not more bytes went there than came from there',
                       sum(len(d.payload) for d in told) <= came)
        return told

    def _claim_counted(self, row, what, name, daemon, before, counted, least):
        after = self._counters(daemon)
        names = REFUSALS if counted is REFUSALS else (counted,)
        rise = sum(after.get(each, 0) - before.get(each, 0) for each in names)
        self.claim(f'{row}: {what}: the {name} counted each of them, {"refused" if counted is REFUSALS else counted}', rise >= least)

    def _arrived(self, payloads, source, since):
        heard = {d.payload for d in self.door.find(since=since, source=source) if not d.outgoing}
        return all(payload in heard for payload in payloads)

    def mislead(self, row, what, payloads, counted=None, spacing=0.0, settle=0.4):
        """The same to the client, from the server's own address through the client's own mapping."""
        payloads = self.directed(payloads, by_client=False)
        since, counters = now_ns(), self._counters(self.client)
        wanted = list(payloads)

        def strike():
            began = now_ns()
            self.to_client.send_all(payloads, self.server_at, self.at_server(), spacing)
            poll_until(lambda: self._reached_client(wanted, began), 3)
            time.sleep(settle)
        spared = self._spared(strike, (self.client,))
        self.claim(f'{row}: {what}: it reached the client', self._reached_client(wanted, since))
        self.claim(f'{row}: {what}: the session is as it was, at both ends', spared[0])
        if counted:
            self._claim_counted(row, what, 'client', self.client, counters, counted, len(wanted))

    def _reached_client(self, payloads, since):
        heard = {d.payload for d in self.lan.find(since=since) if d.outgoing}
        return all(payload in heard for payload in payloads)

    def all_recorded(self, row, since, forged, read=lambda: None):
        """No record went away without a word: of so many forged messages each is in the server's audit, or counted there."""
        def told():
            read()
            return len(self.events('server', since, 'SecurityValidationFailed')) + sum(
                event['dropped'] for event in self.events('server', since, 'EventsDropped'))
        poll_until(lambda: told() >= forged, 5, 0.1)
        self.claim(f'{row}: {forged} were forged, and so many are recorded or counted ({told()})', told() == forged)

    def rebind(self, row, timeout=10):
        """A genuine move, so that there is something to record; returns when it began."""
        since = self.network.rebind(self.place)
        before = self.pair.shared_session()[1]['generation'] if self.pair.shared_session() else 0
        ok = poll_until(lambda: (v := self.pair.is_attached()) and v[1]['generation'] > before
                        and v[0]['generation'] == v[1]['generation'], timeout, step=0.05)
        self.claim(f'{row}: the client itself can still move', ok)
        return since

    def unbroken(self, row, since, missed=0):
        """No packet sent after this instant was lost, either way."""
        for name, stream in self.streams.streams.items():
            self.claim(f'{row}: the {name} flows', poll_until(
                lambda s=stream: s.flows_since(now_ns() - 500_000_000), 5))
            lost = stream.missed_since(since)
            self.claim(f'{row}: the {name} missed no packet' if missed == 0 else
                       f'{row}: the {name} missed at most {missed} packets', lost is not None and lost <= missed)

    def result(self, handshakes=0, restarts=0):
        """What is common to all: both processes live, and nobody connected anew who did not have to."""
        self.claim('the server\'s process runs', self.pair.server.process.running())
        self.claim('the client\'s process runs', self.client.process.running())
        self.claim(f'handshakes of the client meanwhile: {handshakes}',
                   self.client.handshakes() - self._handshakes == handshakes)
        if self.host == 'openvpn':
            self.claim(f'restarts of the client\'s OpenVPN: {restarts}', self._restarted() - self._restarts == restarts)
        return self.told()

    def told(self):
        """The same where the processes have ended by now."""
        if self.host == 'openvpn':
            self.claim('OpenVPN itself moved nobody', self.pair.server.floats() == 0)
        for daemon in (self.pair.server, self.client):
            noticed = re.search(_NOTICED[self.host], daemon.log(), re.I)
            self.claim(f'the {daemon.name}\'s host saw nothing of it' + (f' ({noticed.group()[:80]})' if noticed else ''), not noticed)
        events = {end: self.events(end, self.began) for end in ('client', 'server')}
        for end, records in events.items():  # too many to be read one by one
            self.figures |= {f'{end}_{kind}': count for kind, count in collections.Counter(
                event['event_type'] for event in records if event['event_type'].startswith('Security')).items()}
        changes = {end: [event for event in records if not event['event_type'].startswith('Security')]
                   for end, records in events.items()}
        return {'figures': self.figures, 'facts': self._claims, 'session': {'events': timeline(changes, self.began)}}
