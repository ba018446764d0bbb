# SPDX-License-Identifier: GPL-2.0-or-later
"""The speed of the tunnel with the plugin beside bare OpenVPN, as a ratio.

Two pairs are up at once and take turns, so that a noisy machine slows both alike. There is no
wire between router and server: it would be the bottleneck.
"""
import json
import statistics
import time

from ..openvpn import TUNNEL_SERVER
from ..run import command, say
from ..story import failed, scenario

_ROUNDS = 5
_SECONDS = 4


def _expect(result):
    figures = result['figures']
    return failed((figures['plugin_mbit'] > 0 and figures['bare_mbit'] > 0, 'both tunnels carry traffic'),
                  (result['facts']['handshakes'] == 0, 'no TLS handshake under load'),
                  (result['facts']['attached'], 'the session is ATTACHED after the load'))


def megabits(pair, duration):
    text = command('ip', 'netns', 'exec', pair.clients[0].namespace, 'iperf3', '-J', '-t', str(duration), '-c',
                   TUNNEL_SERVER)
    return json.loads(text)['end']['sum_received']['bits_per_second'] / 1e6


@scenario('throughput', 'iperf3 through plugin and bare tunnels in turns: ratio of medians', _expect, alone=True)
def throughput(story):
    pairs = {'plugin': story.pair('p', delay_ms=None), 'bare': story.pair('b', bare=True, delay_ms=None)}
    for pair in pairs.values():
        story.run.start(['iperf3', '-s'], f'{pair.label}-iperf3.log', pair.server.namespace)
    time.sleep(0.5)
    handshakes = pairs['plugin'].clients[0].handshakes()
    for pair in pairs.values():
        megabits(pair, 1)  # warm up
    speeds = {name: [] for name in pairs}
    for number in range(_ROUNDS):
        for name, pair in pairs.items():
            speeds[name].append(round(megabits(pair, _SECONDS), 1))
        say(f'  round {number + 1}: ' + ', '.join(f'{name} {values[-1]:.0f} Mbit/s' for name, values in speeds.items()))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    plugin = pairs['plugin']
    return {'figures': {'plugin_mbit': medians['plugin'], 'bare_mbit': medians['bare'],
                        'ratio': round(medians['plugin'] / medians['bare'], 3)},
            'facts': {'rounds': speeds, 'handshakes': plugin.clients[0].handshakes() - handshakes,
                      'attached': bool(plugin.clients[0].end and plugin.attached())}}
