# SPDX-License-Identifier: GPL-2.0-or-later
"""There is no path, or no server, for a while.

Read next: without.py.
"""
from ...charon_story import expect_survived, scenario
from ...run import now_ns
from ...story import expect_order, failed, pause
from ...streams import Streams

_WINDOW_S, _TTL_S = 8, 15
_FLAP_S = 1.5


def _expect_hole(result):
    return expect_survived(result, moved=True) + sum(
        (expect_order(result, end, ('RECOVERING', None), ('ATTACHED', 'reattach_success'))
         for end in ('client', 'server')), []) + failed(
        *((hold['sent'] > 0 and hold['packets'] == 0, f'what the {end} sent meanwhile went on with the path ({hold})')
          for end, hold in result['facts'].get('hold', {}).items()))


@scenario('hole', 'a black hole of --hole seconds; figures from the path\'s return', _expect_hole,
          variants=((), ('--auth', 'cert', '--family', '6'), ('--kernel',)))
def hole(story):
    return _hole(story, lambda pair: None)


@scenario('hole-rebind', 'the same, and meanwhile the NAT forgets its mapping', _expect_hole)
def hole_rebind(story):
    return _hole(story, lambda pair: pair.network.rebind(pair.network.clients[0]))


def _hole(story, meanwhile):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    length = story.options.hole
    cut_at = pair.network.hole(True)
    pause(length / 2, 'black hole')
    meanwhile(pair)
    pause(length / 2, 'black hole')
    usable_at = pair.network.hole(False)
    # Bare, the inner TCP's next try can be as far away as the hole was long.
    result = watch.result(cut_at, usable_at, streams, limit=max(story.options.wait, 1.2 * length + 20))
    if pair.server.end and not story.options.kernel:
        result['facts']['hold'] = {charon.name.rstrip('0'): charon.end.stats().get('hold', {'sent': 0, 'packets': 0})
                                   for charon in (pair.clients[0], pair.server)}
    return result


def _expect_flapping(result):
    session = result['session']
    ended = [change for end in ('client', 'server') for change in session['changes'][end] if change[1] == 'TERMINATED']
    return expect_survived(result, moved=None) + failed(
        (not ended, f'nothing was ever terminated ({ended})'),
        (0 < result['facts']['switches'] <= result['facts']['switches_allowed'],
         f'the server switched no more often than its rate allows ({result["facts"]["switches"]})'))


@scenario('flapping', 'the path is 1.5 s down, 1.5 s up from another mapping, for --length seconds (A06)', _expect_flapping,
          variants=(('--length', '6'),), attacks=('A06',))
def flapping(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = now_ns()
    for _ in range(round(story.options.length / (2 * _FLAP_S))):
        pair.network.hole(True)
        pair.network.rebind(pair.network.clients[0])
        pause(_FLAP_S, 'down')
        pair.network.hole(False)
        pause(_FLAP_S, 'up')
    result = watch.result(cut_at, now_ns(), streams)
    if story.stage:
        result['facts'] |= {'switches': sum(e['event_type'] == 'TransportSwitch' for e in pair.server.end.events(cut_at)),
                            'switches_allowed': int(story.stage.policy_value('max_switches_per_min'))}
    return result


def _expect_bounds(result):
    facts = result['facts']
    return failed(
        (facts['client_gone'] and facts['server_gone'],
         f'the old IKE_SA is gone at both ends ({facts["client_gone"]}, {facts["server_gone"]})'),
        (facts['routes_left'] == 0, f'no route of it is left while the path is gone ({facts["routes_left"]})'),
        (facts['client_ike_sas'] <= 1 and facts['server_ike_sas'] <= 1,
         f'nothing else is left of it afterwards ({facts["client_ike_sas"]}, {facts["server_ike_sas"]})'),
    ) + expect_order(result, 'client', ('RECOVERING', None), ('TERMINATED', 'recovery_window_exceeded')) + expect_order(
        result, 'server', ('RECOVERING', None), ('TERMINATED', 'transport_ttl_exceeded'))


@scenario('bounds', f'window {_WINDOW_S} s, TTL {_TTL_S} s, a hole of 25 s: each side ends at its own bound',
          _expect_bounds, attacks=('A02', 'A10'))
def bounds(story):
    pair = story.pair(policy={'recovery_window_ms': _WINDOW_S * 1000, 'transport_lost_ttl_ms': _TTL_S * 1000})
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch, old = story.watch(pair), pair.sa()
    cut_at = pair.network.hole(True)
    pause(24, 'black hole')
    left = {'client_gone': all(sa.spis != old.spis for sa in pair.clients[0].sas()),
            'server_gone': all(sa.spis != old.spis for sa in pair.server.sas()),
            # The client may be calling again by now, but has no tunnel before it is answered.
            'routes_left': len(pair.routes(pair.clients[0].namespace)) + len(pair.routes(pair.server.namespace))}
    pause(1, 'black hole')
    usable_at = pair.network.hole(False)
    result = watch.result(cut_at, usable_at, streams, attach=0)
    result['facts'] |= left
    for end, bound in (('client', _WINDOW_S), ('server', _TTL_S)) if 'session' in result else ():
        at = {event['new_state']: event['at_s'] for event in reversed(result['session']['events'])
              if event['end'] == end and event['event_type'] == 'SessionStateChange'
              and event['session_id'] == result['session']['id_before']}
        if {'RECOVERING', 'TERMINATED'} <= at.keys():
            result['figures'][f'{end}_beyond_its_bound_s'] = round(at['TERMINATED'] - at['RECOVERING'] - bound, 3)
    return result


def _expect_reborn(result):
    facts, session = result['facts'], result['session']
    return failed(
        (facts['resumed'], 'traffic flows again'),
        (session['attached'], 'a session is ATTACHED at both ends afterwards'),
        (session['attached'] and not session['same'], 'it is a new session, not the old one'),
        (facts['handshakes'] == 1, f'there was one new authentication ({facts["handshakes"]})'),
        (facts['established'] and not facts['same_ike_spis'], 'there is a new IKE_SA'),
        (facts['client_ike_sas'] == 1 and facts['server_ike_sas'] == 1,
         f'and no other one ({facts["client_ike_sas"]}, {facts["server_ike_sas"]})'),
    ) + expect_order(result, 'client', ('TERMINATED', 'unknown_session'))


@scenario('server-kill', 'the server is killed and back after 1 s', _expect_reborn, attacks=('A31',))
def server_kill(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = now_ns()
    pair.server.kill()
    pause(1, 'no server')
    pair.server.start()
    return watch.result(cut_at, now_ns(), streams, attach=30)
