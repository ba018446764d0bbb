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
    siege.claim('A27: the others\' sessions are as they were',
                all(siege.alike_but_health(siege.look(client), old) for client, old in zip((first, second), before)))
    siege.unbroken('A27', since)
    second.process.stop()
    siege.claim('A27: a place becomes free, and the third client is let in', poll_until(
        lambda: siege.pair.is_attached(third) or (_initiate(siege, third) and siege.pair.is_attached(third)), 20, 0.5))
    siege.claim('A27: the third client reaches the server', siege.network.ping(third.namespace, TUNNEL_SERVER, 3) > 0)
    return siege.result()


_ALARM = 'SecurityCredentialsShared'
_AGAIN = 'came again while its session lived'
# A client that says that it has lost its state, as each does at first, is believed by all but `never`.
_SILENT = {'unique': 'never'}


def _one_user(server, clients):
    """The second client's file has the identity of the first one's; server, clients: more of their connections."""
    def prepare(pair):
        pair.server.swanctl['connections']['lab'] |= server
        for index, client in enumerate(pair.clients):
            client.swanctl['connections'][f'client{index}'] |= clients
            client.swanctl['connections'][f'client{index}']['local'] = pair.clients[0].swanctl['connections']['client0']['local']
        for charon in (pair.server, *pair.clients):
            charon.write()
    return prepare


def _lines(siege):
    return [line for line in siege.pair.server.said() if _AGAIN in line]


def _claim_told(siege, since, times, alarms=None):
    """After so many times: a line of the log for each, and an event from the third on, or as many as alarms says."""
    alarms = max(times - 2, 0) if alarms is None else alarms
    poll_until(lambda: len(_lines(siege)) >= times, 5)
    siege.claim(f'A19: came again while its session lived, by the server\'s log: {times} times', len(_lines(siege)) == times)
    siege.claim(f'A19: are its credentials used twice? Asked {alarms} times',
                sum('credentials' in line for line in _lines(siege)) == alarms)
    poll_until(lambda: len(siege.events('server', since, _ALARM)) >= alarms, 5)
    siege.claim(f'A19: after {times} times the server\'s audit has {_ALARM} {alarms} times',
                len(siege.events('server', since, _ALARM)) == alarms)


def _take_turns(siege, since, turns, done=0):
    """Each of these connects while the other one's session lives, and throws it out."""
    for times, client in enumerate(turns, done + 1):
        siege.pair.connect(client)
        siege.claim('A19: who comes newer is ATTACHED', poll_until(lambda c=client: siege.pair.is_attached(c), 10, 0.1))
        siege.claim('A19: the server has one session of this user', poll_until(lambda: len(_living(siege)) == 1, 5))
        _claim_told(siege, since, times)


def _living(siege):
    return [s['session_id'] for s in siege.pair.server.end.sessions() if s['state'] != 'TERMINATED']


@scenario('a19-clones', 'A19: one user\'s credentials in two places: the newest wins, the other is told, then an alarm', expect_claims,
          attacks=('A19',))
def a19_clones(story):
    # It connects when it is told to only, so that the two do not throw each other out again and again.
    siege = Siege(story, on_clients=(True, True), waiting=1, before=_one_user({}, {}), streams=False)
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
    siege.claim('A19: the server has one session of this user, the newer one\'s', poll_until(
        lambda: _living(siege) == [s['session_id'] for s in newer.end.sessions()], 5))
    siege.claim('A19: the newer client reaches the server', siege.network.ping(newer.namespace, TUNNEL_SERVER, 3) > 0)
    pause(2, 'does the older one stay away?')
    siege.claim('A19: the newer one\'s session stays', siege.pair.is_attached(newer))
    _claim_told(siege, since, 1)
    _take_turns(siege, since, (first,), done=1)
    lost = siege.look(first)
    _take_turns(siege, since, (newer,), done=2)
    alarm = (siege.events('server', since, _ALARM) or [{}])[0]
    siege.claim('A19: the alarm names the session that was thrown out, and where it was',
                (alarm.get('session_id'), alarm.get('previous_transport')) == (lost[1]['session_id'], lost[1]['binding']))
    siege.claim('A19: and where the newest came from', alarm.get('new_transport') == siege.look(newer)[1]['binding'])
    _take_turns(siege, since, (first,), done=3)
    return siege.result(handshakes=2)


@scenario('a19-replace', 'A19: the same by `unique = replace` alone: no client says that it has lost its state', expect_claims,
          attacks=('A19',))
def a19_replace(story):
    siege = Siege(story, on_clients=(True, True), waiting=1, before=_one_user({'unique': 'replace'}, _SILENT), streams=False)
    first, newer = siege.pair.clients
    since = now_ns()
    newer.start()
    _take_turns(siege, since, (newer, first, newer))
    return siege.result(handshakes=1)


@scenario('a19-keep', 'A19: `unique = keep`: the first one stays, the other is refused, and then it is an alarm', expect_claims,
          attacks=('A19',))
def a19_keep(story):
    siege = Siege(story, on_clients=(True, True), waiting=1, before=_one_user({'unique': 'keep'}, _SILENT), streams=False)
    _, newer = siege.pair.clients
    before, since = siege.look(), now_ns()
    newer.start()
    for times in range(1, 4):
        siege.claim('A19: the newer client is refused', not _initiate(siege, newer))
        newer.ask('terminate', {'ike': 'client1', 'force': 'yes'}) if newer.sas() else None
        _claim_told(siege, since, times)
    siege.claim('A19: and told why', 'AUTH_FAILED' in newer.log())
    siege.claim('A19: the first one\'s session is as it was', siege.alike_but_health(siege.look(), before))
    siege.claim('A19: the alarm names it', [e['session_id'] for e in siege.events('server', since, _ALARM)] == [before[1]['session_id']])
    return siege.result()


@scenario('a19-never', 'A19: `unique = never`: one user may be in two places, and nothing is said of it', expect_claims,
          attacks=('A19',))
def a19_never(story):
    siege = Siege(story, on_clients=(True, True), waiting=1, before=_one_user(_SILENT, {}), streams=False)
    first, second = siege.pair.clients
    before, since = siege.look(), now_ns()
    second.start()
    for _ in range(3):
        siege.pair.connect(second)
        siege.claim('A19: the second client is ATTACHED', poll_until(lambda: siege.pair.is_attached(second), 10, 0.1))
        siege.claim('A19: the server has two sessions of this user', len(_living(siege)) == 2)
        second.ask('terminate', {'ike': 'client1'})
    siege.claim('A19: the first one\'s session is as it was', siege.alike_but_health(siege.look(first), before))
    _claim_told(siege, since, 0)
    return siege.result()


@scenario('a19-alone', 'A19: one client that moves, rekeys, reauthenticates in both ways, and loses its state twice: no alarm',
          expect_claims, attacks=('A19',))
def a19_alone(story):
    siege = Siege(story, connection={'unique': 'replace'}, settings={'make_before_break': True}, streams=False)
    client, since = siege.client, now_ns()
    _three_reauthentications(siege)
    siege.rebind('A19')
    client.ask('rekey', {'ike': 'client0'})
    _claim_told(siege, since, 0)
    client.settings['make_before_break'] = False
    client.write()
    for times in (1, 2):
        client.kill()
        client.start()
        siege.pair.connect(client)
        siege.claim('A19: the client that was killed has a session again', poll_until(lambda: siege.pair.is_attached(client), 10, 0.1))
        _claim_told(siege, since, times)
    _three_reauthentications(siege)
    _claim_told(siege, since, 2)
    return siege.result(handshakes=3 + 2 + 3)


def _three_reauthentications(siege):
    """Each is a new IKE_SA, and so a new session; the older ones are ended by the client itself."""
    for _ in range(3):
        old = siege.look()[0]['session_id']
        siege.client.ask('rekey', {'ike': 'client0', 'reauth': 'yes'})
        siege.claim('A19: the client has reauthenticated', poll_until(
            lambda o=old: (v := siege.look()) and v[0]['session_id'] != o and siege.pair.is_attached()
            and len(siege.pair.server.sas()) == len(siege.client.sas()) == 1, 15, 0.1))
