# SPDX-License-Identifier: GPL-2.0-or-later
"""An attacker on the path suppresses one ESP packet and sends it from his own address.

The packet is genuine and was never seen by the server, so bare charon with ESP in the kernel moves the peer to the
attacker. In userspace charon never learns where ESP comes from. Read next: replayed.py.
"""
import os
import re

from ... import capture
from ...charon_story import expect_survived, scenario
from ...network import ATTACKER_PORT, ROUTER, SERVER
from ...run import wait_until
from ...story import failed, pause
from ...streams import Streams
from ...strongswan import PORT_NAT, TUNNEL_SERVER

_AFTER = 6


def _expect(result):
    facts = result['facts']
    return expect_survived(result, moved=False) + failed(
        (facts['packet_was_sent'], 'an ESP packet was captured and sent'),
        (facts['attacker_received'] == 0, f'the attacker received nothing ({facts["attacker_received"]} packets)'),
        (facts['packets_missed'] == 0, f'the client missed no packet ({facts["packets_missed"]} missed)'),
        (facts['peer_unmoved'], 'the server has the client where it was'),
    )


@scenario('captured-packet', 'a captured ESP packet, its original suppressed, is sent from elsewhere', _expect,
          variants=((), ('--kernel',)), attacks=('A30', 'A30 --kernel'))
def captured_packet(story):
    pair = story.pair()
    place = pair.network.clients[0]
    streams = Streams(pair, uplink=False, tcp=False)
    pause(2, 'the client is silent')
    watch = story.watch(pair)
    before = pair.shared()[1].remote
    attacker = story.run.start(
        ['/usr/bin/python3', os.path.abspath(capture.__file__), f'lan{place.index}0', SERVER, str(PORT_NAT), ROUTER,
         str(ATTACKER_PORT), '--esp'], f'{pair.label}-attacker.log', pair.network.router)
    wait_until(lambda: 'ready' in attacker.log() or not attacker.running(), 5, 'the attacker listens')
    # ESP alone is dropped on its way, so that the session has no other reason to move.
    cut_at = pair.network.block(f'iifname "lan{place.index}0" udp dport {PORT_NAT} udp length > 12 @th,64,32 != 0')
    pair.network.ping(pair.clients[0].namespace, TUNNEL_SERVER, timeout=1)
    usable_at = pair.network.unmute()
    pause(_AFTER, 'only the server sends')
    received = re.findall(r'^received (\d+)', attacker.log(), re.M)
    after = pair.shared()
    result = watch.result(cut_at, usable_at, streams)
    result['facts'] |= {'packet_was_sent': bool(re.search(r'^sent', attacker.log(), re.M)),
                        'attacker_received': int(received[-1]) if received else 0,
                        # Counted after the return: only a later arrival shows that one was overtaken.
                        'packets_missed': streams.streams['downlink'].missed_since(cut_at),
                        'peer_unmoved': bool(after) and after[1].remote == before}
    return result
