# SPDX-License-Identifier: GPL-2.0-or-later
"""What every scenario does: build a pair, break something, compare before and after.

Owns the shape of a result and the list of scenarios. Knows nothing of any single scenario.
Read next: scenarios/moves.py, the simplest of them.

A result is a dict: figures (numbers, for medians), facts (what must hold or not), session (with
the plugin: identity, generation, state changes and the events in order).
"""
import dataclasses
import time

from .jumping import Stage, changes
from .openvpn import Pair
from .run import now_ns, poll_until, say, seconds

HOSTS = ('openvpn', 'strongswan')
SCENARIOS = {host: {} for host in HOSTS}
# How an uplink can go.
WAYS = ('down', 'gateway', 'address', 'silence')


@dataclasses.dataclass
class Options:
    bare: bool = False
    stage: str = ''
    policy: str = 'mobile'
    keepalive: str | None = None
    hole: float = 60.0
    loss: float = 5.0
    length: float = 20.0
    clients: int = 300
    seed: int = 0
    detached: bool = False
    family: int = 4
    way: str | None = None
    plain: bool = False
    only: str | None = None
    auth: str = 'psk'
    kernel: str | None = None  # the machine's kind
    wait: float = 30.0
    reject: bool = True


@dataclasses.dataclass
class Scenario:
    name: str
    summary: str
    tell: object                # tell(story) -> result
    expect: object              # expect(result) -> sentences that do not hold
    alone: bool                 # measures speed: nothing else may run beside it
    variants: tuple             # extra command-line words of each run in the check
    attacks: tuple              # the rows of tests/attacks.ini that it shows, each with the words of that run behind its id
    story: type                 # whose story it is: Story, or a class made of it for another host


def scenario(name, summary, expect, alone=False, variants=((),), attacks=(), story=None):
    """Decorator: put a function into the list of scenarios of the story's host."""
    def register(function):
        whose = story or Story
        SCENARIOS[whose.host][name] = Scenario(name, summary, function, expect, alone, variants, attacks, whose)
        return function
    return register


class Story:
    """What a scenario is given: the run, the options, and what it needs again and again."""

    host = 'openvpn'

    def __init__(self, run, options):
        self.run = run
        self.options = options
        self.stage = None if options.bare else Stage(run, options.stage, options.policy, self.host)

    def pair(self, label='p', bare=False, waiting=0, before=None, **arguments):
        """
        A pair that is up and, with the plugin at both ends, ATTACHED; but for `waiting` clients, see Pair.start.
        before: called with the pair when its network is there and nothing runs yet.
        """
        say(f'  {label}: starting OpenVPN{"" if self.stage and not bare else ", bare"}')
        arguments = {'keepalive': self.options.keepalive, 'detached': self.options.detached,
                     'family': self.options.family} | arguments
        pair = Pair(self.run, label, None if bare else self.stage, **arguments)
        if before:
            before(pair)
        pair.start(waiting)
        return pair

    def watch(self, pair, client=None):
        return Watch(pair, client or pair.clients[0])


class Watch:
    """One client before an event and after it. Make it before, call result() after."""

    def __init__(self, pair, client):
        self._pair = pair
        self._client = client
        self._plugin = bool(client.end and pair.server.end) and self.has_session()
        self._counts = self.counts()
        self._before = pair.attached(client) if self._plugin else None

    def has_session(self):
        """Whether the plugin at both ends makes a session here."""
        return True

    def counts(self):
        """What is counted in the logs; a result has how much of each came on top."""
        return {'handshakes': self._client.handshakes(), 'native_floats': self._pair.server.floats(),
                'client_restarts': self._client.restarts()}

    def result(self, cut_at, usable_at, streams=None, limit=30, settle=1.0, attach=10):
        """
        Wait until the streams flow again, at most limit seconds, and settle a moment; then compare.

        attach: how long to wait for ATTACHED at both ends afterwards; not to get there is a result too.
        """
        resumed = streams.wait_resumed(usable_at, limit) if streams else None
        time.sleep(settle)
        result = {'figures': {}, 'facts': {}}
        if streams:
            result['figures'] = streams.figures(cut_at, usable_at)
            result['facts']['resumed'] = resumed
            if 'tcp' in streams.streams:
                result['facts']['same_tcp_connection'] = streams.connections() == 1
        if self._plugin:
            result['session'] = self._session(cut_at, attach)
        result['facts'] |= {key: count - self._counts[key] for key, count in self.counts().items()}
        return result

    def _session(self, cut_at, attach):
        after = poll_until(lambda: self._pair.is_attached(self._client), attach, step=0.05)
        theirs = self._before[1]
        old = theirs['session_id']
        sides = {'client': self._client, 'server': self._pair.server}
        ours = {old, after[0]['session_id'] if after else None, None}  # the server has its other clients' too
        events = {name: [e for e in side.end.events(cut_at) if e.get('session_id') in ours]
                  for name, side in sides.items()}
        return {
            'attached': bool(after),
            'id_before': old,
            'id_after': after[0]['session_id'] if after else None,
            'same': bool(after) and after[0]['session_id'] == old,
            'binding_before': theirs.get('binding'),
            'binding_after': after[1].get('binding') if after else None,
            'generation_before': theirs['generation'],
            'generation_after': after[1]['generation'] if after else None,
            'state_version_before': theirs['state_version'],
            'state_version_after': after[1]['state_version'] if after else None,
            'changes': {name: changes(records, old) for name, records in events.items()},
            'events': timeline(events, cut_at),
        }


def timeline(events, since):
    """The audit records of several ends in one order, times in seconds from an instant."""
    keys = ('event_type', 'previous_state', 'new_state', 'reason_code', 'generation')
    rows = [{'at_s': seconds(record['mono_ns'] - since), 'end': end, 'session_id': record.get('session_id'),
             **{key: record[key] for key in keys if record.get(key) is not None}}
            for end, records in events.items() for record in records]
    return sorted(rows, key=lambda row: row['at_s'])


def pause(duration, why):
    say(f'  {duration:.1f} s: {why}')
    time.sleep(duration)
    return now_ns()


# What a scenario's expect() is made of. Each takes a result; false sentences come out.

def failed(*checks):
    """checks: (holds, sentence). The sentences that do not hold."""
    return [sentence for holds, sentence in checks if not holds]


def expect_same_session(result, moved):
    """Traffic, the inner TCP connection and the session go on; moved: it changed its binding, or None for any."""
    facts, session = result['facts'], result['session']
    before, after = session['generation_before'], session['generation_after']
    return failed(
        (facts.get('resumed') is not False, 'traffic flows again'),
        (facts.get('same_tcp_connection') is not False, 'the inner TCP connection is the same'),
        (session['attached'], 'the session is ATTACHED at both ends afterwards'),
        (session['same'], f'the session_id is the same ({session["id_before"]}, then {session["id_after"]})'),
        (after is not None and (moved is None or (after > before if moved else after == before)),
         f'the binding {"moved" if moved else "did not move"} (generation {before}, then {after})'),
    )


def expect_survived(result, moved):
    """The session, its handshake and its TCP connection outlived the event; moved: it changed its binding."""
    facts = result['facts']
    return expect_same_session(result, moved) + failed(
        (facts['handshakes'] == 0, f'no TLS handshake took place ({facts["handshakes"]} did)'),
        (facts['client_restarts'] == 0, 'the client\'s OpenVPN was not restarted'),
        (facts['native_floats'] == 0, f'OpenVPN itself moved nothing ({facts["native_floats"]} floats)'),
    )


def expect_order(result, end, *wanted):
    """The changes of one end contain these (new state, reason or None for any), in this order."""
    rest = iter(result['session']['changes'][end])
    holds = all(any(state == new and reason in (None, why) for _, new, why in rest) for state, reason in wanted)
    path = ', then '.join(f'{state}{f" ({reason})" if reason else ""}' for state, reason in wanted)
    return failed((holds, f'the {end} went through {path} (it went {result["session"]["changes"][end]})'))
