# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of weather in a row, drawn by lot, while the keys are renewed every few seconds.

The next event may come before the last one is over. The lot's seed is among the facts, and --seed draws
the same again. Read next: moves.py and uplinks.py, where each event is alone.
"""
import random
import time

from ..run import now_ns, say, seconds
from ..story import failed, pause, scenario
from ..streams import Streams

_RENEG_S = 10
_LONGEST_S = 8


def _expect(result):
    facts, session = result['facts'], result['session']
    ended = [change for end in ('client', 'server') for change in session['changes'][end] if change[1] == 'TERMINATED']
    return failed(
        (facts['resumed'], 'traffic flows again'),
        (facts['same_tcp_connection'], 'the inner TCP connection is the same'),
        (session['attached'] and session['same'], 'the session is the same and ATTACHED at both ends'),
        (not ended, f'nothing was ever terminated ({ended})'),
        (facts['client_restarts'] == 0, 'the client\'s OpenVPN was not restarted'),
        (facts['native_floats'] == 0, f'OpenVPN itself moved nothing ({facts["native_floats"]} floats)'))


class _Weather:
    """What can happen to a client with two uplinks. Each event ends with a path that works."""

    def __init__(self, network, lot):
        self._network = network
        self._client = network.clients[0]
        self._lot = lot
        self.events = {
            'rebinding': lambda: network.rebind(self._client),
            'another address': lambda: network.change_address(self._client, self._uplink()),
            'hole': lambda: self._while(lambda on: network.hole(on)),
            'uplink down': lambda: self._away(network.uplink_down),
            'address lost': lambda: self._away(network.lose_address),
            'gateway lost': lambda: self._away(network.lose_gateway),
            'uplink silent': self._silent,
            'hole with a rebinding': lambda: self._while(lambda on: (network.hole(on), network.rebind(self._client))),
            'loss': lambda: self._while(lambda on: network.wire.set(loss=30 if on else 0)),
            'a long way round': lambda: self._while(lambda on: network.wire.set(delay=150 if on else 10)),
            'calm': lambda: time.sleep(lot.uniform(1, 12)),
        }

    def _uplink(self):
        return self._lot.randrange(2)

    def _while(self, switch):
        switch(True)
        time.sleep(self._lot.uniform(0.1, _LONGEST_S))
        switch(False)

    def _away(self, go):
        uplink = self._uplink()
        go(self._client, uplink)
        time.sleep(self._lot.uniform(0.1, _LONGEST_S))
        self._network.uplink_up(self._client, uplink)

    def _silent(self):
        uplink = self._uplink()
        self._while(lambda on: self._network.silence_uplink(self._client, uplink, on))


@scenario('weather', 'events by lot for --length seconds, two uplinks, rekeys every few seconds (--seed)', _expect,
          variants=(('--length', '40', '--detached'),))
def weather(story):
    seed = story.options.seed or random.randrange(1, 1 << 32)
    lot = random.Random(seed)
    pair = story.pair(uplinks=2, server_lines=[f'reneg-sec {_RENEG_S}'], client_lines=['redirect-gateway def1'])
    streams = Streams(pair)
    pause(2, f'seed {seed}')
    watch = story.watch(pair)
    sky = _Weather(pair.network, lot)
    happened, cut_at = [], now_ns()
    while now_ns() - cut_at < story.options.length * 1e9:
        name = lot.choice(list(sky.events))
        happened.append(f'{seconds(now_ns() - cut_at):.1f} {name}')
        say(f'  {happened[-1]}')
        sky.events[name]()
        time.sleep(lot.choice((0, 0.05, 0.3, 1, 4)))
    usable_at = now_ns()
    result = watch.result(cut_at, usable_at, streams, attach=20)
    result['figures'] = streams.back(usable_at)
    result['facts'] |= {'seed': seed, 'happened': happened}
    return result
