# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody ends a session, or a bound does: who is told, and who begins again.

Read next: handshake.py.
"""
import itertools

from ...charon_story import scenario
from ...jumping import changes
from ...run import now_ns, poll_until, wait_until
from ...story import failed, pause
from ...streams import Streams

_WINDOW_S = 12
_ACTIONS = list(itertools.product(('clear', 'restart'), ('none', 'start')))


def _expect_terminated(result):
    facts = result['facts']
    return failed(
        (facts['gone_in_the_hole'], 'the client\'s IKE_SA is gone while there is still no path'),
        (facts['client_reasons'][-1:] == ['host_terminated'],
         f'the client\'s session ended because its host did ({facts["client_reasons"]})'),
        (facts['routes_left'] == 0, f'no route into the tunnel is left at the client ({facts["routes_left"]})'),
        (facts['server_gone'], 'the server ends its half at its own bound'),
        (facts['handshakes'] == 0, f'nothing begins again ({facts["handshakes"]} handshakes)'),
        (facts['left'] == {'client': 0, 'server': 0}, f'nothing is left at either end ({facts["left"]})'))


def _terminate(story, late):
    """late: the client knows by then that it has no path."""
    bound = _WINDOW_S * 1000
    pair = story.pair(policy={'transport_lost_ttl_ms': bound, 'recovery_window_ms': bound})
    client, server, since = pair.clients[0], pair.server, now_ns()
    Streams(pair)
    handshakes = client.handshakes()
    pair.network.hole(True)
    if late and story.stage:
        wait_until(lambda: pair.shared_session()[0]['state'] == 'RECOVERING', 10, 'the client has no path')
    client.ask('terminate', {'ike': pair.names()[0], 'timeout': '-1'})
    facts = {'gone_in_the_hole': bool(poll_until(lambda: not client.sas(), _WINDOW_S - 2)),
             'routes_left': len(pair.routes(client.namespace)),
             'server_gone': bool(poll_until(lambda: not server.sas(), 2 * _WINDOW_S))}
    pair.network.hole(False)
    pause(3, 'the path is back: does anything begin again?')
    events = client.end.events(since) if client.end else []
    facts |= {'client_reasons': [reason for _, new, reason in changes(events) if new == 'TERMINATED'],
              'handshakes': client.handshakes() - handshakes,
              'left': {'client': len(client.sas()), 'server': len(server.sas())}}
    return {'figures': {}, 'facts': facts}


@scenario('terminate-hole', 'swanctl --terminate at a client that has no path: it is gone, and stays so', _expect_terminated)
def terminate_hole(story):
    return _terminate(story, late=True)


@scenario('terminate-cut', 'the path goes, and at the same moment swanctl --terminate: no answer comes', _expect_terminated)
def terminate_cut(story):
    return _terminate(story, late=False)


def _expect_meant(result):
    facts = result['facts']
    started = sorted(name for name in facts['names'] if name.endswith('start'))
    return failed(
        *((end['back'] == [], f'{how}: none begins again ({end["back"]})')
          for how, end in facts['ends'].items() if 'client' in how),
        *((end['back'] == started, f'{how}: those with close_action = start begin again, and no others ({end["back"]})')
          for how, end in facts['ends'].items() if 'server' in how),
        *((end['ended'], f'{how}: each old session is gone at both ends') for how, end in facts['ends'].items()),
        (len(facts['ends']) == 5, f'all ways to end them were tried ({len(facts["ends"])})'))


def _name_by_actions(pair):
    """One connection of the client for each way to be configured."""
    client = pair.clients[0]
    old = client.swanctl['connections']
    client.swanctl['connections'] = {}
    for table, (dpd, close) in zip(old.values(), _ACTIONS):
        for child in table['children'].values():
            child |= {'dpd_action': dpd, 'close_action': close}
        client.swanctl['connections'][f'{dpd}-{close}'] = table
    pair.names = lambda index=0: [f'{dpd}-{close}' for dpd, close in _ACTIONS]
    client.write()


def _attached(end):
    return {s['session_id'] for s in end.sessions() if s['state'] == 'ATTACHED'}


def _up(pair, wanted):
    """Exactly these connections are up, each with a session that both ends have. Returns their ids."""
    names = sorted(sa.name for sa in pair.clients[0].established())
    ids = _attached(pair.clients[0].end)
    return ids if names == sorted(wanted) and len(ids) == len(wanted) and ids == _attached(pair.server.end) else None


@scenario('ended-by-hand', 'jumpctl terminate, swanctl --terminate at either end, a server that stops: who begins again',
          _expect_meant)
def ended_by_hand(story):
    pair = story.pair(connections=len(_ACTIONS), before=_name_by_actions)
    client, server, names = pair.clients[0], pair.server, pair.names()
    started = [name for name in names if name.endswith('start')]
    facts = {'names': names, 'ends': {}}

    def all_up():
        for name in set(names) - {sa.name for sa in client.established()}:
            client.initiate(name, pair.children[0])
        return wait_until(lambda: _up(pair, names), 10, 'all are up')

    def ends(how, wanted, act):
        old = all_up()
        act(old)
        poll_until(lambda: (now := _up(pair, wanted)) is not None and not now & old, 20, step=0.1)
        pause(2, f'{how}: does any other one begin again?')
        facts['ends'][how] = {
            'back': sorted({sa.name for sa in client.sas()}),
            'ended': not old & {s['session_id'] for end in (client.end, server.end) for s in end.sessions()
                                if s['state'] != 'TERMINATED'}}

    def stop_server(_):
        server.process.stop()
        server.start()

    def by_name(charon, wanted):
        for name in wanted:
            charon.ask('terminate', {'ike': name, 'timeout': '-1'})

    ends('jumpctl at the client', [], lambda old: [client.end.terminate(session_id) for session_id in old])
    ends('swanctl at the client', [], lambda _: by_name(client, names))
    ends('jumpctl at the server', started, lambda old: [server.end.terminate(session_id) for session_id in old])
    ends('swanctl at the server', started, lambda _: by_name(server, ['lab']))
    ends('the server stops', started, stop_server)
    return {'figures': {}, 'facts': facts}


def _expect_begun_again(result):
    facts = result['facts']
    return failed(
        *((facts['back'][name], f'{name}: a new session is there after the old one\'s bound')
          for name in facts['back']),
        (facts['reasons'] and set(facts['reasons']) <= {'key_expired', 'peer_terminated'},
         f'it was the bound that ended them ({facts["reasons"]})'))


@scenario('ended-by-bound', 'a bound ends sessions that have a path: the client begins again', _expect_begun_again)
def ended_by_bound(story):
    # No key is ever made anew before it is this old: the plugin rekeys once a minute at most.
    pair = story.pair(connections=len(_ACTIONS), before=_name_by_actions,
                      policy={'transport_lost_ttl_ms': 4000, 'recovery_window_ms': 4000, 'key_max_age_ms': 12000})
    client, since = pair.clients[0], now_ns()
    old = {sa.name: sa.spis for sa in client.established()}
    back = dict.fromkeys(old, False)

    def look():
        for sa in client.established():
            back[sa.name] |= sa.spis != old[sa.name]
        return all(back.values())
    poll_until(look, 25, step=0.1)
    return {'figures': {}, 'facts': {'back': back, 'reasons': sorted({
        reason for _, new, reason in changes(client.end.events(since)) if new == 'TERMINATED'})}}
