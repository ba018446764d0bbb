# SPDX-License-Identifier: GPL-2.0-or-later
"""The path changes under a living session: NAT rebinding, another address.

Read next: uplinks.py.
"""
import random

from ..run import now_ns
from ..story import expect_order, expect_survived, pause, scenario
from ..streams import Streams


def _expect_moved(result):
    return expect_survived(result, moved=True) + expect_order(
        result, 'server', ('RECOVERING', None), ('ATTACHED', 'reattach_success'))


def _rebind(pair):
    cut_at = now_ns()
    return cut_at, pair.network.rebind(pair.network.clients[0])


@scenario('nat-rebind-oneway', 'NAT rebinding while only the server sends and nothing answers', _expect_moved,
          variants=((), ('--family', '6')))
def nat_rebind_oneway(story):
    pair = story.pair()
    streams = Streams(pair, uplink=False, tcp=False)
    # Bare OpenVPN is rescued by its own ping, one each 10 s of silence: hit any point between two.
    phase = random.uniform(0, 10)
    pause(phase, 'the client is silent')
    watch = story.watch(pair)
    result = watch.result(*_rebind(pair), streams)
    result['facts']['phase_s'] = round(phase, 1)
    return result


@scenario('nat-rebind-silent', 'NAT rebinding in a silence, then the server sends first', _expect_moved,
          variants=(('--detached',), ('--policy', 'strict', '--family', '6')))
def nat_rebind_silent(story):
    return _silent(story, uplink=False)


@scenario('nat-rebind-silent-client', 'NAT rebinding in a silence, then both send at once', _expect_moved)
def nat_rebind_silent_client(story):
    return _silent(story, uplink=True)


def _silent(story, uplink):
    pair = story.pair()
    # A session is idle after 10 s without data; the next probe may then be as far away as the policy's idle interval.
    pause(random.uniform(12, 24), 'nobody sends')
    watch = story.watch(pair)
    pair.network.rebind(pair.network.clients[0])
    streams = Streams(pair, uplink=uplink, tcp=False, flowing=False)
    began = streams.began('here' if uplink else 'there')
    result = watch.result(began, began, streams)
    result['figures'] = streams.back(began)
    return result


@scenario('nat-rebind-both', 'NAT rebinding while both sides send', _expect_moved)
def nat_rebind_both(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    return story.watch(pair).result(*_rebind(pair), streams)


@scenario('address-change',
          'the client\'s address is replaced; back counts from the new one being usable', _expect_moved,
          variants=((), ('--family', '6')))
def address_change(story):
    # No NAT: the server itself must see another address, not only another port.
    pair = story.pair(nat=False)
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = now_ns()
    return watch.result(cut_at, pair.network.change_address(pair.network.clients[0]), streams)
