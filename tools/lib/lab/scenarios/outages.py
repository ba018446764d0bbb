# SPDX-License-Identifier: GPL-2.0-or-later
"""There is no path, or no server, for a while.

Read next: lossy.py.
"""
import re

from ..run import now_ns
from ..story import expect_order, expect_survived, failed, pause, scenario
from ..streams import Streams

_FLAP_S = 1.5
_WINDOW_S, _TTL_S = 8, 15
_RENEG_S = 20


def _expect_hole(result):
    return expect_survived(result, moved=True) + sum(
        (expect_order(result, end, ('RECOVERING', None), ('ATTACHED', 'reattach_success'))
         for end in ('client', 'server')), [])


@scenario('hole', 'a black hole of --hole seconds; figures from the path\'s return', _expect_hole,
          variants=((), ('--keepalive', '10 60')))
def hole(story):
    return _hole(story, story.pair(), lambda pair: None)


@scenario('hole-rebind', 'the same, and meanwhile the NAT forgets its mapping', _expect_hole,
          variants=(('--detached',),))
def hole_rebind(story):
    return _hole(story, story.pair(), lambda pair: pair.network.rebind(pair.network.clients[0]))


def _hole(story, pair, meanwhile):
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
    return watch.result(cut_at, usable_at, streams, limit=max(30, 1.2 * length + 20))


def _expect_flapping(result):
    session = result['session']
    ended = [change for end in ('client', 'server') for change in session['changes'][end] if change[1] == 'TERMINATED']
    return expect_survived(result, moved=None) + failed((not ended, f'nothing was ever terminated ({ended})'))


@scenario('flapping', 'the path is 1.5 s down, 1.5 s up, for --length seconds (A06)', _expect_flapping,
          variants=(('--detached',),), attacks=('A06',))
def flapping(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = now_ns()
    for _ in range(round(story.options.length / (2 * _FLAP_S))):
        pair.network.hole(True)
        pause(_FLAP_S, 'down')
        pair.network.hole(False)
        pause(_FLAP_S, 'up')
    pair.network.hole(True)
    pause(_FLAP_S, 'down')
    usable_at = pair.network.hole(False)
    result = watch.result(cut_at, usable_at, streams)
    result['figures'] = streams.back(usable_at)  # the gaps before its end are the path's own
    return result


def _expect_bounds(result):
    facts, session = result['facts'], result['session']
    return failed(
        (session['attached'], 'a session is ATTACHED at both ends afterwards'),
        (session['attached'] and not session['same'], 'it is a new session, not the old one'),
        (facts['resumed'], 'traffic flows again'),
    ) + expect_order(result, 'client', ('RECOVERING', None), ('TERMINATED', 'recovery_window_exceeded')) + expect_order(
        result, 'server', ('RECOVERING', None), ('TERMINATED', 'transport_ttl_exceeded'))


@scenario('bounds', f'window {_WINDOW_S} s, TTL {_TTL_S} s, a hole of 25 s: each side ends at its own bound (A02, A10)',
          _expect_bounds, variants=(('--detached',),), attacks=('A02', 'A10'))
def bounds(story):
    pair = story.pair(policy={'recovery_window_ms': _WINDOW_S * 1000, 'transport_lost_ttl_ms': _TTL_S * 1000})
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = pair.network.hole(True)
    pause(25, 'black hole')
    usable_at = pair.network.hole(False)
    result = watch.result(cut_at, usable_at, streams, limit=60, attach=30)
    if 'session' in result:
        for end, bound in (('client', _WINDOW_S), ('server', _TTL_S)):
            at = {event['new_state']: event['at_s'] for event in reversed(result['session']['events'])
                  if event['end'] == end and event['event_type'] == 'SessionStateChange'
                  and event['session_id'] == result['session']['id_before']}
            if {'RECOVERING', 'TERMINATED'} <= at.keys():
                result['figures'][f'{end}_beyond_its_bound_s'] = round(at['TERMINATED'] - at['RECOVERING'] - bound, 3)
    return result


def _expect_rekey(result):
    facts, session = result['facts'], result['session']
    rotated = {end: sum(event['event_type'] == 'KeyRotated' and event['end'] == end for event in session['events'])
               for end in ('client', 'server')}
    return failed(
        (facts['resumed'], 'traffic flows again'),
        (facts['same_tcp_connection'], 'the inner TCP connection is the same'),
        (session['attached'] and session['same'], 'the session is the same and ATTACHED at both ends'),
        (facts['client_restarts'] == 0, 'the client\'s OpenVPN was not restarted'),
        (facts['soft_resets_in_the_hole'] > 0, 'a renegotiation began in the hole'),
        *((count > 0, f'the {end}\'s key epoch followed ({count} times)') for end, count in rotated.items()))


@scenario('rekey-in-hole', f'a renegotiation, due every {_RENEG_S} s, falls into a hole of --hole seconds',
          _expect_rekey, variants=(('--hole', '40'),))
def rekey_in_hole(story):
    pair = story.pair(server_lines=[f'reneg-sec {_RENEG_S}'], client_lines=['reneg-sec 0'])
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    began = len(_soft_resets(pair))
    cut_at = pair.network.hole(True)
    pause(story.options.hole, 'black hole')
    in_the_hole = len(_soft_resets(pair)) - began
    usable_at = pair.network.hole(False)
    result = watch.result(cut_at, usable_at, streams, limit=60, settle=_RENEG_S)
    result['facts']['soft_resets_in_the_hole'] = in_the_hole
    return result


def _soft_resets(pair):
    return re.findall(r'TLS: soft reset', pair.server.log() + pair.clients[0].log())


def _expect_reborn(result):
    facts, session = result['facts'], result['session']
    return failed(
        (facts['resumed'], 'traffic flows again'),
        (session['attached'], 'a session is ATTACHED at both ends afterwards'),
        (session['attached'] and not session['same'], 'it is a new session, not the old one'),
        (facts['handshakes'] == 1, f'there was one new TLS handshake ({facts["handshakes"]})'),
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
    return watch.result(cut_at, now_ns(), streams, limit=150, attach=30)
