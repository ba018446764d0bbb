# SPDX-License-Identifier: GPL-2.0-or-later
"""What does not move a session: an IKE message from elsewhere, and the loss of an address of another family.

Read next: ../../crowd.py.
"""
from ...charon_story import expect_survived, scenario
from ...network import SERVER6
from ...run import poll_until, wait_until
from ...story import failed, pause
from ...strongswan import EXCHANGES, PORT_NAT, TUNNEL_SERVER

_WITHOUT_S = 8
_UNSERVED = '10.200.0.1'  # behind no server
_HEARD = 'parsed CREATE_CHILD_SA request'
_NOT_WRITTEN = 'error writing to socket'


def _expect_unmoved(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        (facts['heard'], 'the server took an authenticated message from there'),
        (facts['peer_unmoved'], f'it has the client where it was until a proof came ({facts["remotes"]})'))


@scenario('ike-elsewhere', 'a genuine IKE message comes from another NAT mapping, and no proof yet', _expect_unmoved,
          attacks=('A30',))
def ike_elsewhere(story):
    def add_refused(pair):
        # Nothing is rekeyed by it, so that all SPIs can be compared afterwards.
        connection = pair.clients[0].swanctl['connections'][pair.names()[0]]
        connection['children']['refused'] = {'remote_ts': f'{_UNSERVED}/32'}
        pair.clients[0].write()
    # With MOBIKE charon waits for the peer's own word; without it, it takes a message for one.
    pair = story.pair(before=add_refused, mobike=False)
    client, server, network = pair.clients[0], pair.server, pair.network
    watch = story.watch(pair)
    before = pair.shared()[1].remote
    heard = server.log().count(_HEARD)
    cut_at = network.block(f'udp dport {PORT_NAT} @th,64,32 0 @th,240,8 {EXCHANGES[0]}-{EXCHANGES[-1]}')
    network.rebind(network.clients[0])
    client.ask('initiate', {'ike': pair.names()[0], 'child': 'refused', 'timeout': '-1'})
    took = poll_until(lambda: server.log().count(_HEARD) > heard, 5)
    pause(1, 'would the server move it?')
    after = [sa.remote for sa in server.sas()]
    usable_at = network.unmute()
    network.ping(client.namespace, TUNNEL_SERVER, 5)
    result = watch.result(cut_at, usable_at)
    result['facts'] |= {'heard': bool(took), 'peer_unmoved': after == [before], 'remotes': [before, *after]}
    return result


def _expect_families(result):
    facts = result['facts']
    return failed(
        (facts['families'] == ['4', '6'], f'one session is on each family ({facts["families"]})'),
        (facts['not_written'] <= _WITHOUT_S,
         f'charon is not asked over and over for what cannot leave ({facts["not_written"]} lines)'),
        (facts['kept'], 'both sessions are the same when the address is back'),
        (facts['attached'], 'and ATTACHED'),
        (facts['unmoved_6'], 'the one on IPv6 stayed where it was'),
        (facts['handshakes'] == 0, f'nobody authenticated anew ({facts["handshakes"]} did)'))


@scenario('both-families', f'one IKE_SA on IPv4, one on IPv6, and the IPv4 address goes for {_WITHOUT_S} s',
          _expect_families)
def both_families(story):
    def split(pair):
        pair.server.swanctl['connections']['lab']['local_addrs'] = '%any'
        pair.clients[0].swanctl['connections'][pair.names()[1]]['remote_addrs'] = SERVER6
        pair.server.write()
        pair.clients[0].write()
    pair = story.pair(connections=2, family='both', before=split)
    client, network, place = pair.clients[0], pair.network, pair.network.clients[0]

    def sessions():
        return {s['session_id']: s for s in client.end.sessions() if s['state'] == 'ATTACHED'}
    wait_until(lambda: len(sessions()) == 2, 10, 'both are ATTACHED')
    before, handshakes = sessions(), client.handshakes()
    family = {key: '6' if s['binding'].count(':') > 1 else '4' for key, s in before.items()}
    said = client.log().count(_NOT_WRITTEN)
    network.lose_address(place, only=4)
    pause(_WITHOUT_S, 'no IPv4 address')
    said = client.log().count(_NOT_WRITTEN) - said
    network.uplink_up(place)
    attached = bool(poll_until(lambda: sessions().keys() == before.keys(), 20, step=0.1))
    after = {s['session_id']: s for s in client.end.sessions()}
    return {'figures': {}, 'facts': {
        'families': sorted(family.values()), 'not_written': said,
        'kept': after.keys() == before.keys(), 'attached': attached,
        'unmoved_6': all(after.get(key, {}).get('generation') == before[key]['generation']
                         for key in before if family[key] == '6'),
        'handshakes': client.handshakes() - handshakes}}
