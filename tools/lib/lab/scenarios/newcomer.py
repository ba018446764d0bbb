# SPDX-License-Identifier: GPL-2.0-or-later
"""A NAT gives a mapping that one client has left to another client, who begins there (A18).

OpenVPN's server tells clients apart by address, and still knows the first by that one: the newcomer
needs an alias to come up at all. Read next: neighbours.py.
"""
import re

from ..openvpn import TUNNEL_SERVER, Pair
from ..run import now_ns, poll_until, say
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams


def _expect(result):
    facts = result['facts']
    return ([f'first client: {sentence}' for sentence in expect_survived(result['first'], moved=None)] + failed(
        (facts['newcomer_binding'] == facts['left'],
         f'the newcomer has the address that was left ({facts["left"]}, it has {facts["newcomer_binding"]})'),
        (facts['alias'] is not None, 'OpenVPN\'s log knows the newcomer by an alias'),
        (facts['newcomer_pings'] == 3, f'the newcomer\'s pings are answered ({facts["newcomer_pings"]} of 3)'),
        (facts['newcomer_handshakes'] == 1, f'it came up with one TLS handshake ({facts["newcomer_handshakes"]})'),
        (facts['newcomer_moved'], 'the newcomer moves on like anybody'),
        (facts['killed_reborn'], 'ended by the server\'s operator, it begins anew'),
        (facts['native_floats'] == 0, f'OpenVPN itself moved nothing ({facts["native_floats"]} floats)')))


def _newcomer(story, **arguments):
    pair = Pair(story.run, 'p', story.stage, on_clients=(True, True), keepalive=story.options.keepalive,
                detached=story.options.detached, **arguments)
    network, (first, second), places = pair.network, pair.clients, pair.network.clients
    say('  p: starting the server and the first client')
    pair.server.start()
    first.start()
    left = pair.attached(first)[1]['binding']
    network.rebind(places[0])
    poll_until(lambda: (pair.is_attached(first) or [{}, {'binding': left}])[1]['binding'] != left, 20)
    streams = Streams(pair, first)
    pause(2, 'the first client has moved; traffic both ways')
    watch = story.watch(pair, first)
    cut_at = network.map_to(places[1], port=int(left.rpartition(':')[2]))
    say('  p: the newcomer begins where the first one was')
    second.start()
    session = pair.attached(second)[1]
    facts = {'left': left, 'newcomer_binding': session['binding'], 'newcomer_handshakes': second.handshakes(),
             'newcomer_pings': network.ping(second.namespace, TUNNEL_SERVER, 3)}
    network.map_to(places[1])
    facts['newcomer_moved'] = bool(poll_until(
        lambda: (pair.is_attached(second) or [{}, session])[1]['generation'] > session['generation'], 20))
    pair.server.end.terminate(session['session_id'])
    facts['killed_reborn'] = bool(poll_until(
        lambda: (pair.is_attached(second) or [session])[0]['session_id'] != session['session_id'], 30))
    alias = re.search(r'client1/(240\.\S+|100::\S+)', pair.server.log())
    told = watch.result(cut_at, now_ns(), streams)
    return {'figures': told['figures'], 'first': told,
            'facts': facts | {'alias': alias and alias.group(1), 'native_floats': told['facts']['native_floats']}}


@scenario('newcomer', 'a newcomer on the address that a moved session was born with (A18)', _expect,
          variants=((), ('--family', '6')), attacks=('A18',))
def newcomer(story):
    return _newcomer(story, family=story.options.family)


@scenario('newcomer-mapped', 'the same over IPv4 to a server with one socket for both families', _expect, attacks=('A18',))
def newcomer_mapped(story):
    return _newcomer(story, family='both')
