# SPDX-License-Identifier: GPL-2.0-or-later
"""A man in the middle holds messages back, and somebody elsewhere is faster than the client.

Read next: attacks_path.py.
"""
import time

from ..attacker import DATA
from ..run import now_ns, poll_until, seconds
from ..siege import STRANGER, VICTIM, Siege, expect_claims, on_both
from ..story import pause

_OTHER_NAT = '203.0.113.77'
_OTHER_VICTIM = ('203.0.113.98', 9998)
_DETOUR_S = 2
_RACE_S = 3
_JUNK_S = 6
_COPIES = 300


def _moved_to_client(siege, row, generation, timeout=10):
    """The client has got its session back, at an address of its own NAT, with both ends of one mind."""
    def back():
        views = siege.pair.is_attached()
        return views and views[1]['generation'] > generation and views[0]['generation'] == views[1]['generation']
    siege.claim(f'{row}: the client is attached again, one generation at both ends', poll_until(back, timeout, 0.05))


def _unmoved(siege, before):
    """The server still has the binding it had, or has lost it by silence: the client is kept from it meanwhile."""
    views = siege.pair.shared_session()
    return views and views[1]['generation'] == before['generation'] and views[1].get('binding') in (None, before['binding'])


def _held_request(siege):
    """A REQUEST of the client's that the server has not seen, and the client still asking."""
    siege.network.block(siege.message('client', 'REATTACH_REQUEST'))
    since = siege.network.rebind(siege.place)
    requests = poll_until(lambda: siege.lan.find('REATTACH_REQUEST', since=since), 5)
    return requests[0] if requests else None


def _racer(siege):
    """A11: the copy is first; its CHALLENGE is even handed on to the client, which then proves the wrong path."""
    before = siege.pair.shared_session()[1]
    request, since = _held_request(siege), now_ns()
    siege.claim('A11: a REQUEST was held back', request)
    siege.to_server.send(request.payload, STRANGER, siege.server_at)
    challenge = poll_until(lambda: siege.door.find('REATTACH_CHALLENGE', since=since, target=STRANGER), 3)
    siege.claim('A11: the racer is challenged', challenge)
    siege.claim('A11: the racer\'s REQUEST alone moves nothing', _unmoved(siege, before))
    siege.network.unmute()
    newest = poll_until(lambda: [d for d in siege.wan.find('REATTACH_REQUEST', since=since) if d.source != STRANGER], 5)
    if challenge and newest:
        siege.to_client.send(challenge[0].payload, siege.server_at, newest[-1].source)
    _moved_to_client(siege, 'A11', before['generation'])
    siege.claim('A11: the session is with the client, not with the racer', siege.at_server()[0] != STRANGER[0])
    siege.claim('A11: the racer was told nothing but CHALLENGE', all(
        d.kind == 'REATTACH_CHALLENGE' for d in siege.door.find(since=since, target=STRANGER)))
    siege.claim('A11: the server recorded SecurityPathRace', siege.events('server', since, 'SecurityPathRace'))


def _victim(siege):
    """A14, A15: a genuine REQUEST that the server has not seen, many times, as if from a victim and a stranger."""
    before = siege.pair.shared_session()[1]
    request = _held_request(siege)
    siege.network.add_public(_OTHER_VICTIM[0])
    # What a first flood touches of memory that was taken at the start is no growth.
    siege.to_server.send_all([request.payload] * _COPIES, _OTHER_VICTIM, siege.server_at)
    poll_until(lambda: len(siege.door.find(source=_OTHER_VICTIM)) >= _COPIES, 5)
    time.sleep(0.2)
    memory, since = siege.resident(), now_ns()
    for source in (VICTIM, STRANGER):
        siege.to_server.send_all([request.payload] * _COPIES, source, siege.server_at)
    came = poll_until(lambda: len(siege.door.find(since=since, source=STRANGER)) >= _COPIES, 5)
    siege.claim('A15: the copies reached the server', came)
    siege.claim('A15: they move nothing', _unmoved(siege, before))

    def at_rest():
        """A busy machine's server has read, and answered, all that it will: half a second nothing more came."""
        count = answers()
        time.sleep(0.5)
        return all(count) and count == answers()

    def answers():
        return [len(siege.door.find(since=since, target=source)) for source in (VICTIM, STRANGER)]
    poll_until(at_rest, 10)
    counts = []
    for source in (VICTIM, STRANGER):
        sent = siege.door.find(since=since, target=source)
        asked = sum(len(d.payload) for d in siege.door.find(since=since, source=source))
        siege.claim(f'A14: {"a victim" if source is VICTIM else "a stranger"} got not more bytes than came from there',
                    sum(len(d.payload) for d in sent) <= asked)
        siege.claim('A15: the copies are answered by CHALLENGE or COOKIE', sent and {d.kind for d in sent} <= {
            'REATTACH_CHALLENGE', 'COOKIE'})
        siege.claim('A15: not all copies are challenged', len(
            [d for d in sent if d.kind == 'REATTACH_CHALLENGE']) < _COPIES)
        counts.append(len(sent))
    time.sleep(0.4)  # with more, what the server holds for a client that it has lost would be memory too
    siege.claim('A15: nothing is sent again by the server itself', counts == answers())
    siege.figures['a15_memory_grown_kbyte'] = siege.resident() - memory
    # It was the same with ten times as many: threads of a charon, which has many, touch memory of their own.
    most = 1024 if siege.host == 'openvpn' else 2048
    siege.claim(f'A15: the server\'s memory has not grown ({most} KByte at most)', siege.resident() - memory <= most)
    siege.network.unmute()
    _moved_to_client(siege, 'A15', before['generation'])


def _accepts(siege):
    """A23: ACCEPT is lost, then comes, then comes twice more."""
    before = siege.pair.shared_session()[1]
    siege.network.block(siege.message('server', 'REATTACH_ACCEPT'))
    since = siege.network.rebind(siege.place)
    lost = poll_until(lambda: siege.wan.find('REATTACH_ACCEPT', since=since), 5)
    siege.claim('A23: ACCEPT was sent, and lost', lost)
    siege.claim('A23: more than one was sent', poll_until(
        lambda: len(siege.wan.find('REATTACH_ACCEPT', since=since)) > 1, 5))
    siege.network.unmute()
    _moved_to_client(siege, 'A23', before['generation'])
    siege.claim('A23: the lost ones cost one generation, no more',
                siege.pair.shared_session()[1]['generation'] == before['generation'] + 1)
    accepts = siege.wan.find('REATTACH_ACCEPT', since=since)
    siege.mislead('A23', 'every ACCEPT there was, late and twice', [d.payload for d in accepts] * 2)


def _nested(siege):
    """A17: the mapping changes again while the REQUEST for the last one is on its way."""
    before = siege.pair.shared_session()[1]
    siege.network.wire.set(delay=50)  # time enough for a new mapping before the answer is there
    time.sleep(0.5)
    since = now_ns()
    siege.network.rebind(siege.place)
    poll_until(lambda: siege.wan.find('REATTACH_REQUEST', since=since), 5, 0.002)
    siege.network.rebind(siege.place)
    time.sleep(0.015)
    siege.network.rebind(siege.place)
    _moved_to_client(siege, 'A17', before['generation'])
    siege.claim('A17: the client asked from more than one mapping', len(
        {d.source for d in siege.wan.find('REATTACH_REQUEST', since=since)}) > 1)
    siege.network.wire.set(delay=10)
    time.sleep(1)
    bound = [d.source for d in siege.wan.find('PROBE')][-1]
    siege.claim('A17: the server is bound where the client is now', poll_until(lambda: siege.at_server() == bound, 3))
    siege.claim('A17: at most three generations more',
                siege.pair.shared_session()[1]['generation'] <= before['generation'] + 3)


def _detour(siege):
    """A13: for a while the client's packets carry another source; then whoever did that is gone."""
    siege.network.add_public(_OTHER_NAT)
    siege.network.map_to(siege.place, _OTHER_NAT)
    siege.claim('A13: the detour carried the session', poll_until(lambda: siege.at_server()[0] == _OTHER_NAT, 10))
    time.sleep(_DETOUR_S)
    before = siege.pair.shared_session()[1]
    gone = siege.network.map_to(siege.place)
    _moved_to_client(siege, 'A13', before['generation'])
    siege.claim('A13: the session is back with the client\'s own address', siege.at_server()[0] != _OTHER_NAT)
    moved = [e['mono_ns'] for e in siege.events('server', gone, 'TransportSwitch')]
    siege.figures['a13_back_s'] = seconds(moved[0] - gone) if moved else None


def _relayed(siege):
    """A41: each PROBE reaches the server from elsewhere first, and the PATH_UNBOUND for it is handed to the client."""
    before, since = siege.look(), now_ns()
    here = siege.at_server()

    def overtake(heard):
        if heard.kind == 'PROBE' and not heard.outgoing:
            siege.to_server.send(heard.payload, STRANGER, siege.server_at)
            time.sleep(0.005)
            siege.to_server.send(heard.payload, here, siege.server_at)

    def hand_on(heard):
        if heard.kind == 'PATH_UNBOUND' and heard.target == STRANGER:
            siege.to_client.send(heard.payload, siege.server_at, here)
    siege.network.block(siege.message('client', 'PROBE'))
    siege.lan.on_hear, siege.door.on_hear = overtake, hand_on
    pause(_RACE_S, 'a racer copies each PROBE')
    siege.lan.on_hear = siege.door.on_hear = None
    siege.network.unmute()
    relayed = [d for d in siege.lan.find('PATH_UNBOUND', since=since) if d.outgoing]
    siege.claim('A41: PATH_UNBOUND reached the client, for several PROBEs', len(relayed) >= 3)
    siege.claim('A41: the healthy binding stays, no switch is spent', siege.alike_but_health(siege.look(), before))


def _junk(siege):
    """A42: nothing of the client's arrives any more, but its earlier packets do, again and again."""
    here, before = siege.at_server(), siege.pair.shared_session()[1]
    recorded = [d.payload for d in siege.wan.find(DATA, source=here)[-50:]]
    old = [d.payload for d in siege.wan.find('PROBE', source=here)[-3:]]
    since = siege.network.block(f'iifname "lan{siege.place.index}0" udp dport {siege.carrier.port}')
    end = time.monotonic() + _JUNK_S
    dead = None
    while time.monotonic() < end and not dead:
        siege.to_server.send_all(recorded[:5] + old, here, siege.server_at)
        time.sleep(0.1)
        changes = [e for e in siege.events('server', since, 'SessionStateChange') if e['new_state'] == 'RECOVERING']
        dead = changes[0]['mono_ns'] if changes else None
    siege.claim('A42: junk came from the bound address all the time', len(
        [d for d in siege.door.find(since=since, source=here) if not d.outgoing]) > 20)
    siege.claim('A42: the server noticed that the path is dead', dead)
    siege.figures['a42_noticed_s'] = seconds(dead - since) if dead else None
    siege.network.unmute()
    _moved_to_client(siege, 'A42', before['generation'])


@on_both('a11-race', 'A11 A13 A14 A15 A17 A23 A41 A42: racers, copies to and from elsewhere, answers held back',
          expect_claims, attacks=('A11', 'A13', 'A14', 'A15', 'A17', 'A23', 'A41', 'A42'))
def a11_race(story):
    # The rate of switches is not what this is about.
    siege = Siege(story, policy={'max_switches_per_min': 60})
    session = siege.look()[0]['session_id']
    pause(1, 'traffic both ways')
    for attack in (_racer, _victim, _accepts, _nested, _detour, _relayed, _junk):
        attack(siege)
    siege.claim('A11: it is one session all the time', siege.look()[0]['session_id'] == session)
    siege.claim('A11: traffic flows', siege.streams.wait_resumed(now_ns(), 10))
    return siege.result()
