# SPDX-License-Identifier: GPL-2.0-or-later
"""The path changes under a living IKE_SA: NAT rebinding, another address.

Bare charon notices a silent rebinding only by a DPD, and even then not always: see docs/strongswan.md.
Read next: outages.py.
"""
import random

from ...charon_story import expect_survived, scenario
from ...run import now_ns, wait_until
from ...story import expect_order, failed, pause
from ...streams import Streams

_IDLE_S = 20


def _expect_moved(result):
    return expect_survived(result, moved=True) + expect_order(
        result, 'server', ('RECOVERING', None), ('ATTACHED', 'reattach_success'))


def _rebind(pair):
    cut_at = now_ns()
    return cut_at, pair.network.rebind(pair.network.clients[0])


@scenario('nat-rebind-both', 'NAT rebinding while both sides send', _expect_moved,
          variants=((), ('--auth', 'cert', '--family', '6'), ('--auth', 'eap-md5')))
def nat_rebind_both(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    return story.watch(pair).result(*_rebind(pair), streams)


@scenario('nat-rebind-oneway', 'NAT rebinding while only the server sends and nothing answers', _expect_moved,
          variants=((), ('--kernel',)))
def nat_rebind_oneway(story):
    pair = story.pair()
    streams = Streams(pair, uplink=False, tcp=False)
    pause(random.uniform(2, 6), 'the client is silent')
    return story.watch(pair).result(*_rebind(pair), streams)


@scenario('nat-rebind-silent-client', f'NAT rebinding in a silence of {_IDLE_S} s, then the client sends first',
          _expect_moved)
def nat_rebind_silent_client(story):
    pair = story.pair()
    pause(_IDLE_S, 'nobody sends')
    watch = story.watch(pair)
    pair.network.rebind(pair.network.clients[0])
    streams = Streams(pair, tcp=False, flowing=False)
    began = streams.began('here')
    result = watch.result(began, began, streams)
    result['figures'] = streams.back(began)
    return result


@scenario('address-change', 'the client\'s address is replaced; back counts from the new one being usable',
          _expect_moved, variants=((), ('--family', '6')))
def address_change(story):
    # No NAT: the server itself must see another address, not only another port.
    pair = story.pair(nat=False)
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = now_ns()
    return watch.result(cut_at, pair.network.change_address(pair.network.clients[0]), streams)


@scenario('address-gone', 'the client has no address for 5 s, then another one', _expect_moved, attacks=('A02',))
def address_gone(story):
    pair = story.pair(nat=False)
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = pair.network.lose_address(pair.network.clients[0])
    pause(5, 'no address')
    return watch.result(cut_at, pair.network.change_address(pair.network.clients[0], lost=True), streams)


@scenario('nat-begins', 'ESP without UDP around it, and the client\'s next address is behind a NAT', _expect_moved,
          variants=(('--kernel',),))
def nat_begins(story):
    pair = story.pair(nat=False, encap=False)
    return _nat_begins(story, pair)


def _expect_anew(result):
    facts, session = result['facts'], result['session']
    return failed(
        (facts['resumed'], 'traffic flows again'),
        (session['attached'] and not session['same'], 'a new session is ATTACHED at both ends afterwards'),
        (facts['handshakes'] == 1, f'there was one new authentication ({facts["handshakes"]})'),
        (facts['client_ike_sas'] == 1 and facts['server_ike_sas'] == 1,
         f'there is one IKE_SA at each end ({facts["client_ike_sas"]}, {facts["server_ike_sas"]})'))


@scenario('nat-begins-500', 'the same without MOBIKE: IKE is on port 500, where ESP cannot be in UDP', _expect_anew,
          variants=(('--kernel',),))
def nat_begins_500(story):
    pair = story.pair(nat=False, encap=False, mobike=False)
    return _nat_begins(story, pair)


def _nat_begins(story, pair):
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = pair.network.start_nat()
    return watch.result(cut_at, pair.network.change_address(pair.network.clients[0]), streams)


def _expect_after_rekey(result):
    facts = result['facts']
    return _expect_moved(result) + failed(
        (facts['other_ike_spis'], 'the rekeyed IKE_SA has other SPIs'),
        (facts['other_esp_spis'], 'the rekeyed CHILD_SA has other SPIs'),
        (facts['rekeyings_lost'] == 0, f'no packet was lost over the rekeyings ({facts["rekeyings_lost"]})'))


@scenario('ike-rekey', 'the IKE_SA is rekeyed, then the CHILD_SA, then the NAT rebinds', _expect_after_rekey,
          variants=((), ('--auth', 'cert')))
def ike_rekey(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    client, since, first = pair.clients[0], now_ns(), pair.sa()
    client.ask('rekey', {'ike': first.name})
    wait_until(lambda: (now := pair.shared()) and now[0].spis != first.spis, 10, 'the IKE_SA is rekeyed')
    client.ask('rekey', {'child': pair.children[0]})
    wait_until(lambda: (now := pair.shared()) and not now[0].esp & first.esp
               and now[0].esp == {spis[::-1] for spis in now[1].esp}, 10, 'the CHILD_SA is rekeyed')
    pause(2, 'under new keys')
    lost = sum(streams.streams[name].missed_since(since) or 0 for name in ('downlink', 'uplink'))
    second = pair.sa()
    result = story.watch(pair).result(*_rebind(pair), streams)
    result['facts'] |= {'other_ike_spis': second.spis != first.spis, 'other_esp_spis': not second.esp & first.esp,
                        'rekeyings_lost': lost}
    return result
