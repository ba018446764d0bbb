# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may have a session: one client too many, and one user in two places.

Read next: replayed.py.
"""
from ...charon_story import scenario
from ...run import Fault, now_ns, poll_until
from ...siege import Siege, expect_claims
from ...story import pause
from ...strongswan import TUNNEL_SERVER

_FULL_S = 2


def _initiate(siege, client):
    """Whether it comes up. That it does not is what is asked for."""
    name = siege.pair.names(siege.pair.clients.index(client))[0]
    try:
        client.initiate(name, siege.pair.children[0], timeout=5)
    except Fault:
        return False
    return True


@scenario('a27-full', 'A27: a third client at a table of two sessions: refused with a reason, the others unharmed', expect_claims,
          attacks=('A27',))
def a27_full(story):
    siege = Siege(story, on_clients=(True, True, True), server_settings={'max_sessions': 2}, waiting=1)
    first, second, third = siege.pair.clients
    pause(1, 'traffic')
    before = [siege.look(client) for client in (first, second)]
    since = now_ns()
    third.start()
    _initiate(siege, third)
    siege.claim('A27: the server recorded session_table_full', poll_until(
        lambda: [e for e in siege.events('server', since) if e.get('reason_code') == 'session_table_full'], 15))
    siege.claim('A27: the server says so', poll_until(lambda: any('no session: ' in line for line in siege.pair.server.said()), 5))
    siege.claim('A27: the third client\'s IKE_SA is closed', poll_until(lambda: not third.established(), 15, 0.1))
    pause(_FULL_S, 'the others go on')
    siege.claim('A27: the third client has no session', not [s for s in third.end.sessions() if s['state'] == 'ATTACHED'])
    siege.claim('A27: the others\' sessions are as they were', [siege.look(client) for client in (first, second)] == before)
    siege.unbroken('A27', since)
    second.process.stop()
    siege.claim('A27: a place becomes free, and the third client is let in', poll_until(
        lambda: siege.pair.is_attached(third) or (_initiate(siege, third) and siege.pair.is_attached(third)), 20, 0.5))
    siege.claim('A27: the third client reaches the server', siege.network.ping(third.namespace, TUNNEL_SERVER, 3) > 0)
    return siege.result()


def _one_user(pair):
    """The second client's file has the identity of the first one's."""
    first, second = pair.clients
    table = second.swanctl['connections']['client1']
    table['local'] = first.swanctl['connections']['client0']['local']
    second.write()


@scenario('a19-clones', 'A19: one user\'s credentials in two places: the newest wins, the other is told', expect_claims,
          attacks=('A19',))
def a19_clones(story):
    # It connects when it is told to only, so that the two do not throw each other out again and again.
    siege = Siege(story, on_clients=(True, True), waiting=1, before=_one_user, streams=False)
    first, newer = siege.pair.clients
    old = siege.look()[0]['session_id']
    since = now_ns()
    newer.start()
    siege.pair.connect(newer)

    def ends(name):
        return [e['reason_code'] for e in siege.events(name, since, 'SessionTerminated') if e['session_id'] == old]
    siege.claim('A19: the newer client is ATTACHED', poll_until(lambda: siege.pair.is_attached(newer), 10, 0.1))
    siege.claim('A19: the server ended the older one\'s session, host_terminated', poll_until(
        lambda: ends('server') == ['host_terminated'], 5))
    siege.claim('A19: the older client is told, peer_terminated', poll_until(lambda: ends('client') == ['peer_terminated'], 5))
    siege.claim('A19: the server has one session of this user, the newer one\'s', poll_until(lambda: [
        s['session_id'] for s in siege.pair.server.end.sessions() if s['state'] != 'TERMINATED'] == [
            s['session_id'] for s in newer.end.sessions()], 5))
    siege.claim('A19: the newer client reaches the server', siege.network.ping(newer.namespace, TUNNEL_SERVER, 3) > 0)
    pause(2, 'does the older one stay away?')
    siege.claim('A19: the newer one\'s session stays', siege.pair.is_attached(newer))
    return siege.result()
