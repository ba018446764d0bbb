# SPDX-License-Identifier: GPL-2.0-or-later
"""A session begins though the handshake has trouble.

Read next: elsewhere.py.
"""
import re
import threading

from ...charon_story import scenario
from ...run import poll_until, wait_until
from ...story import failed, pause
from ...strongswan import PORT_NAT, TUNNEL_SERVER

_LATE_S = 6
_UP = re.compile(r'\bIKE_SA \S+\[\d+\] established between\b')


def _expect_late(result):
    facts = result['facts']
    return failed(
        (facts['repeated'] >= 2, f'the client repeated its IKE_AUTH ({facts["repeated"]} times)'),
        (facts['established'] == {'client': 1, 'server': 1},
         f'each end established one IKE_SA ({facts["established"]})'),
        (facts['sas'] == {'client': 1, 'server': 1}, f'each has one now ({facts["sas"]})'),
        (facts['sessions'] == {'client': 1, 'server': 1}, f'and one session ({facts["sessions"]})'),
        (facts['reached'], 'the tunnel carries'))


@scenario('auth-lost', f'what the server says last in the handshake is lost for {_LATE_S} s, until IKE repeats itself',
          _expect_late)
def auth_lost(story):
    def lose(pair):
        def until_repeated():
            # The first repetition, after 4 s, is answered in vain too.
            wait_until(lambda: pair.server.process and _UP.search(pair.server.log()), 30, 'the server is through')
            pause(_LATE_S, 'the last response is lost')
            pair.network.unmute()
        pair.network.block(f'iifname "wan" udp sport {PORT_NAT}')
        threading.Thread(target=until_repeated, daemon=True).start()
    pair = story.pair(before=lose)
    charons = {'client': pair.clients[0], 'server': pair.server}
    return {'figures': {}, 'facts': {
        'repeated': len(re.findall(r'retransmit \d+ of request with message ID [1-9]', pair.clients[0].log())),
        'established': {end: len(_UP.findall(charon.log())) for end, charon in charons.items()},
        'sas': {end: len(charon.sas()) for end, charon in charons.items()},
        'sessions': {end: len(charon.end.sessions()) for end, charon in charons.items()} if story.stage else {},
        'reached': bool(poll_until(lambda: pair.network.ping(pair.clients[0].namespace, TUNNEL_SERVER, 1), 5))}}
