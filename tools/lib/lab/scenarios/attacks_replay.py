# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever stands on the path records what is said and says it again: at once, later, elsewhere, to a new server.

Read next: attacks_forged.py.
"""
from ..attacker import DATA
from ..run import now_ns, poll_until, seconds
from ..siege import STRANGER, Siege, expect_claims, on_both
from ..story import pause

_TTL_S = 3


def _recorded(siege, since):
    return {kind: siege.wan.newest(kind, since=since) for kind in (
        'REATTACH_REQUEST', 'REATTACH_PROOF', 'REATTACH_CHALLENGE', 'REATTACH_ACCEPT')}


def _replays(siege, said):
    """A03, A12: what was recorded before the last move, from the client's address and from another."""
    here = siege.at_server()
    request, proof = said['REATTACH_REQUEST'].payload, said['REATTACH_PROOF'].payload
    for where, source in (('the client\'s own address', here), ('another address', STRANGER)):
        siege.attack('A03', f'REQUEST and PROOF of an earlier move from {where}', [request, proof], source,
                     recorded='SecurityReplayDetected')
    siege.attack('A12', 'older PROBEs from another address',
                 [d.payload for d in siege.wan.find('PROBE')[:5] if d.outgoing], STRANGER,
                 recorded='SecurityReplayDetected', answers=('PATH_UNBOUND',))
    siege.attack('A12', 'older data packets from another address',
                 [d.payload for d in siege.wan.find(DATA, source=here)[:20]], STRANGER,
                 counted='foreign_data' if siege.host == 'openvpn' else None)
    siege.mislead('A03', 'the server\'s own CHALLENGE and ACCEPT once more',
                  [said['REATTACH_CHALLENGE'].payload, said['REATTACH_ACCEPT'].payload])


def _held_back(siege):
    """A12: packets that the server never saw, from another address, their originals suppressed."""
    since = now_ns()
    siege.network.block(siege.message('client', 'PROBE'))
    probe = poll_until(lambda: siege.lan.find('PROBE', since=since), 3)
    siege.network.unmute()
    siege.attack('A12', 'a suppressed PROBE from another address', [probe[0].payload], STRANGER,
                 answers=('PATH_UNBOUND',))


def _after_a_restart(siege, said):
    """A03, A40: the server is another process now, and the client has a new session."""
    old = siege.look()[0]['session_id']
    siege.pair.server.kill()
    pause(0.5, 'no server')
    since = now_ns()
    siege.pair.server.start()
    reset = poll_until(lambda: siege.wan.find('RESET', since=since), 20)
    siege.claim('A40: the restarted server says RESET to the client it does not know', reset)
    siege.pair.attached(timeout=30)
    siege.claim('A03: after a restart of the server the client has a new session', siege.look()[0]['session_id'] != old)
    request, proof = said['REATTACH_REQUEST'].payload, said['REATTACH_PROOF'].payload
    for where, source in (('the client\'s own address', siege.at_server()), ('another address', STRANGER)):
        siege.attack('A03', f'REQUEST and PROOF of before the server\'s restart from {where}', [request, proof], source,
                     answers=('RESET',))
    siege.claim('A03: the old session is not there again', all(
        session['session_id'] != old for session in siege.pair.server.end.sessions()))
    if reset:
        new = bytes.fromhex(siege.look()[0]['session_id'])
        newest = siege.wan.newest('PROBE')
        siege.mislead('A40', 'the RESET of the earlier session, as it was and with the new session\'s names', [
            reset[0].payload, siege.changed(siege.changed(reset[0].payload, 4, new), 20, newest.nonce),
            siege.changed(siege.changed(siege.changed(reset[0].payload, 4, new), 20, newest.nonce), 60, b'\xff' * 8)])


def _lost_terminate(siege):
    """A40: the server ends the session and its TERMINATE is lost: the client's next PROBE brings another."""
    session = siege.look()[0]['session_id']
    # A charon says it with an IKE message too.
    siege.network.block(siege.message('server', 'TERMINATE') if siege.host == 'openvpn' else
                        f'oifname "lan{siege.place.index}0" udp sport {siege.carrier.port} @th,64,32 0')
    since = now_ns()
    siege.pair.server.end.terminate(session)
    first = poll_until(lambda: siege.wan.find('TERMINATE', since=since), 3)
    siege.claim('A40: TERMINATE was sent, and lost', first)
    siege.network.unmute()
    again = poll_until(lambda: siege.lan.find('TERMINATE', since=since, source=siege.server_at), 10)
    siege.claim('A40: the tombstone answered with TERMINATE', again and first and again[0].payload != first[0].payload)
    ended = poll_until(lambda: any(
        e.get('reason_code') == 'peer_terminated' and e.get('session_id') == session
        for e in siege.events('client', since, 'SessionTerminated', 'SessionStateChange')), 5)
    siege.claim('A40: the client ended it, peer_terminated', ended)
    siege.pair.attached(timeout=30)
    siege.claim('A40: the client has a new session', siege.look()[0]['session_id'] != session)
    old = [d.payload for d in siege.wan.find('PROBE', 'REATTACH_REQUEST', 'REATTACH_PROOF')
           if d.outgoing and d.session_id.hex() == session][-6:]
    # A copy draws the tombstone's word again: who is no faster than a racer's copies must hear it too.
    siege.attack('A10', 'what the client of an ended session said, once more', old, STRANGER, answers=('TERMINATE',))


@on_both('a03-replay', 'A03 A10 A12 A40: recorded messages again, from here and elsewhere, after a restart too',
          expect_claims, attacks=('A03', 'A10', 'A12', 'A40'))
def a03_replay(story):
    # A session that an operator ends at the server begins again where this is said: OpenVPN's client does without.
    siege = Siege(story, **({'child': {'close_action': 'start'}} if story.host == 'strongswan' else {}))
    pause(1, 'traffic both ways')
    said = _recorded(siege, siege.rebind('A03'))
    pause(0.5, 'the binding is new')
    since = now_ns()
    _replays(siege, said)
    _held_back(siege)
    siege.unbroken('A03', since)
    siege.rebind('A03')
    _after_a_restart(siege, said)
    _lost_terminate(siege)
    return siege.result(handshakes=2, restarts=2)


@on_both('a10-over', 'A02 A10: a hole beyond the bounds ends the session at both ends, and nothing revives it',
          expect_claims, strongswan={'variants': ()}, attacks=('A02', 'A10'))
def a10_over(story):
    siege = Siege(story, policy={'transport_lost_ttl_ms': _TTL_S * 1000, 'recovery_window_ms': _TTL_S * 1000})
    old = siege.look()[0]['session_id']
    pause(1, 'traffic both ways')
    said = _recorded(siege, siege.rebind('A10'))
    pause(1, 'the server hears probes of the new binding')
    since = siege.network.hole(True)
    for end in ('client', 'server'):
        ended = poll_until(lambda e=end: [event for event in siege.events(e, since, 'SessionStateChange')
                                          if event['session_id'] == old and event['new_state'] == 'TERMINATED'], 30)
        lost = [event['mono_ns'] for event in siege.events(end, since, 'SessionStateChange')
                if event['session_id'] == old and event['new_state'] == 'RECOVERING']
        siege.claim(f'A02: the {end} went to RECOVERING, and TERMINATED at its bound', ended and lost
                    and ended[0]['reason_code'] in ('recovery_window_exceeded', 'transport_ttl_exceeded'))
        siege.claim(f'A02: the {end} did not end before its bound', ended and lost
                    and seconds(ended[0]['mono_ns'] - lost[0]) >= _TTL_S - 0.05)
    siege.network.hole(False)
    siege.pair.attached(timeout=30)
    siege.claim('A10: the client has a new session', siege.look()[0]['session_id'] != old)
    # What the client said into the hole is fresh: the server has never seen it.
    unseen = [d.payload for d in siege.wan.find('PROBE', 'REATTACH_REQUEST', since=since)
              if d.outgoing and d.session_id.hex() == old]
    siege.claim('A10: there are messages of the old session that the server never saw', unseen)
    siege.attack('A10', 'a PROOF of the ended session', [said['REATTACH_PROOF'].payload], STRANGER)
    for where, source in (('another address', STRANGER), ('the client\'s own address', siege.at_server())):
        siege.attack('A10', f'unseen messages of the ended session from {where}', unseen, source,
                     answers=('TERMINATE',))
    siege.claim('A10: the old session is not there again', all(
        session['session_id'] != old for session in siege.pair.server.end.sessions()))
    siege.claim('A10: traffic flows', siege.streams.wait_resumed(now_ns(), 10))
    return siege.result(handshakes=1, restarts=1)
