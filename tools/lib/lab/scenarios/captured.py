# SPDX-License-Identifier: GPL-2.0-or-later
"""An attacker on the path suppresses one data packet and sends it from his own address.

The packet is genuine and was never seen by the server, so bare OpenVPN moves the client to the
attacker's address. Read next: neighbours.py.
"""
import os
import re

from .. import capture
from ..network import ATTACKER_PORT, ROUTER, SERVER
from ..openvpn import PORT, TUNNEL_SERVER
from ..run import wait_until
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams

# OpenVPN's P_DATA_V1 and P_DATA_V2. Only these are dropped on their way, so that the session has
# no other reason to move.
_DATA = (6, 9)
# Shorter than the 10 s after which the silent client's own ping would win its address back.
_AFTER = 6


def _expect(result):
    facts = result['facts']
    return expect_survived(result, moved=False) + failed(
        (facts['packet_was_sent'], 'a data packet was captured and sent'),
        (facts['attacker_received'] == 0, f'the attacker received nothing ({facts["attacker_received"]} packets)'),
        (facts['packets_missed'] == 0, f'the client missed no packet ({facts["packets_missed"]} missed)'),
    )


@scenario('captured-packet', 'a captured data packet, its original suppressed, is sent from elsewhere', _expect,
          attacks=('A30',))
def captured_packet(story):
    pair = story.pair()
    place = pair.network.clients[0]
    streams = Streams(pair, uplink=False, tcp=False)
    pause(2, 'the client is silent')
    watch = story.watch(pair)
    attacker = story.run.start(
        ['/usr/bin/python3', os.path.abspath(capture.__file__), f'lan{place.index}0', SERVER, str(PORT), ROUTER,
         str(ATTACKER_PORT), '--opcodes', *map(str, _DATA)], f'{pair.label}-attacker.log', pair.network.router)
    wait_until(lambda: 'ready' in attacker.log() or not attacker.running(), 5, 'the attacker listens')
    cut_at = pair.network.mute(place, PORT, _DATA)
    pair.network.ping(pair.clients[0].namespace, TUNNEL_SERVER, timeout=1)
    usable_at = pair.network.unmute()
    pause(_AFTER, 'only the server sends')
    received = re.findall(r'^received (\d+)', attacker.log(), re.M)
    result = watch.result(cut_at, usable_at, streams, limit=20)
    result['facts'] |= {'packet_was_sent': bool(re.search(r'^sent', attacker.log(), re.M)),
                        'attacker_received': int(received[-1]) if received else 0,
                        # Counted after the return: only a later arrival shows that one was overtaken.
                        'packets_missed': streams.streams['downlink'].missed_since(cut_at)}
    return result
