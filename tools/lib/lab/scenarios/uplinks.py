# SPDX-License-Identifier: GPL-2.0-or-later
"""A client with several uplinks: one goes in any of four ways, comes back, flaps, or a new one appears.

No NAT, so that the server's binding tells which uplink carries the session. Where several pairs are up at once,
each is a story of its own under one clock. Read next: plaintext.py.
"""
import time

from ..run import now_ns, poll_until
from ..story import WAYS, expect_order, expect_survived, failed, pause, scenario
from ..streams import Streams

# Time for a switch nobody asked for, or for an answer that is on its way, to show.
_SETTLE_S = 2
_FLAPS = 6
_FLAP_S = 5


def _pair(story, label='p', **arguments):
    lines = [] if story.options.plain else ['redirect-gateway def1']
    return story.pair(label, **{'uplinks': 2, 'nat': False, 'client_lines': lines} | arguments)


def _carrier(pair):
    """The number of the uplink that the server is bound to."""
    views = pair.attached() if pair.server.end else None
    place = pair.network.clients[0]
    return next((uplink for uplink, both in enumerate(zip(place.addresses, place.addresses6))
                 if views and any(f'{address}:' in views[1]['binding'].replace(']', '') for address in both)), 0)


def _go(pair, way, uplink):
    network, place = pair.network, pair.network.clients[0]
    return {'down': network.uplink_down, 'gateway': network.lose_gateway, 'address': network.lose_address,
            'silence': network.silence_uplink}[way](place, uplink)


def _come_back(pair, way, uplink):
    network, place = pair.network, pair.network.clients[0]
    if way == 'silence':
        return network.silence_uplink(place, uplink, on=False)
    return network.uplink_up(place, uplink)


def _switches(end, since):
    return sum(event['event_type'] == 'TransportSwitch' for event in end.events(since)) if end else 0


def _terminated(pair, since):
    return any(event['event_type'] == 'SessionTerminated' for daemon in (pair.server, *pair.clients) if daemon.end
               for event in daemon.end.events(since))


def _gather(told, facts=()):
    """Results of several parts, by name, as one result."""
    return {'figures': {f'{name}_{key}': value for name, part in told.items()
                        for key, value in part['figures'].items()},
            'facts': {name: part['facts'] for name, part in told.items()} | dict(facts), 'clients': told}


def _each(result, expect):
    return [f'{name}: {sentence}' for name, part in result['clients'].items() for sentence in expect(part)]


def _expect_taken_over(part):
    session = part['session']
    return expect_survived(part, moved=True) + sum(
        (expect_order(part, end, ('RECOVERING', None), ('ATTACHED', 'reattach_success'))
         for end in ('client', 'server')), []) + failed(
        (session['binding_after'] not in (None, session['binding_before']),
         f'the server is bound to another address ({session["binding_before"]}, then {session["binding_after"]})'),
    ) + failed(*((any(event['end'] == end and event['event_type'] == 'TransportSwitch' for event in session['events']),
                  f'the {end} recorded the switch') for end in ('client', 'server')))


def _expect_way(part):
    if part['facts']['still_a_way']:
        return expect_survived(part, moved=False)
    return _expect_taken_over(part)


def _expect_uplink(result):
    return _each(result, _expect_way)


@scenario('uplink', 'the uplink in use goes, in four ways one after the other (--way: one), and the other stays',
          _expect_uplink, variants=((), ('--detached',), ('--plain', '--family', '6')), attacks=('A02',))
def uplink(story):
    pair = _pair(story)
    streams = Streams(pair)
    told, since = {}, now_ns()
    for way in [story.options.way] if story.options.way else WAYS:
        pause(_SETTLE_S, 'traffic both ways')
        gone = _carrier(pair)
        watch = story.watch(pair)
        cut_at = now_ns()
        usable_at = _go(pair, way, gone)
        told[way] = watch.result(cut_at, usable_at, streams, limit=40)
        # The route that OpenVPN made around the tunnel needs no default route, until its uplink goes down once.
        told[way]['facts']['still_a_way'] = bool(pair.network.route_to_server(pair.network.clients[0], gone)) and \
            way == 'gateway'
        _come_back(pair, way, gone)
    return _gather(told, {'switches': _switches(pair.server.end, since)})


def _expect_idle(result):
    return _each(result, lambda part: _expect_taken_over(part) + failed(
        (part['figures']['first_s'] is not None, 'what was sent after the silence arrives')))


@scenario('uplink-idle', 'nothing flows for --hole seconds, the uplink goes, a second later one side begins to send',
          _expect_idle, variants=((), ('--detached',)))
def uplink_idle(story):
    ways = [story.options.way] if story.options.way else [way for way in WAYS if way != 'gateway']
    # A pair for each, since the silence takes the longest.
    pairs = {f'{way}_{who}': _pair(story, f'{way[0]}{who[0]}') for way in ways for who in ('client', 'server')}
    pause(story.options.hole, 'nothing flows')
    watches = {name: story.watch(pair) for name, pair in pairs.items()}
    cuts, streams, told = {}, {}, {}
    for name, pair in pairs.items():
        cuts[name] = now_ns()
        _go(pair, name.split('_')[0], 0)
    time.sleep(1)
    for name, pair in pairs.items():
        streams[name] = Streams(pair, downlink=name.endswith('server'), uplink=name.endswith('client'), tcp=False,
                                flowing=False)
    for name, pair in pairs.items():
        stream, = streams[name].streams.values()
        poll_until(stream.arrivals, 40)
        told[name] = watches[name].result(cuts[name], cuts[name], None, settle=0.5)
        began = streams[name].began('here' if name.endswith('client') else 'there')
        told[name]['figures'] = {'first_s': stream.back_after(began)}
    return _gather(told)


def _expect_calm(part):
    facts = part['facts']
    return expect_survived(part, moved=facts['switches'] > 0) + failed(
        (facts['switches'] <= 1, f'at most one switch afterwards ({facts["switches"]})'),
        (facts['missed'] == 0, f'no packet is lost afterwards ({facts["missed"]})'))


@scenario('uplink-returns', 'the first uplink is back, or a better third appears: no flapping for --hole seconds',
          lambda result: _each(result, _expect_calm), variants=((), ('--plain',)))
def uplink_returns(story):
    pairs = {name: _pair(story, name[0]) for name in ('down', 'silence', 'third')}
    streams = {name: Streams(pair) for name, pair in pairs.items()}
    pause(1, 'traffic both ways')
    for name in ('down', 'silence'):
        cut_at = _go(pairs[name], name, 0)
        streams[name].wait_resumed(cut_at, 20)
    pause(_SETTLE_S, 'the second uplink carries')
    watches, back, told = {}, {}, {}
    for name, pair in pairs.items():
        watches[name] = story.watch(pair)
        back[name] = now_ns()
        if name == 'third':
            pair.network.add_uplink(pair.network.clients[0], metric=50)
        else:
            _come_back(pair, name, 0)
    pause(story.options.hole, 'both uplinks are there')
    for name, pair in pairs.items():
        told[name] = watches[name].result(back[name], back[name], streams[name])
        told[name]['facts'] |= {
            'switches': _switches(pair.server.end, back[name]),
            'missed': sum(stream.missed_since(back[name]) for key, stream in streams[name].streams.items()
                          if key != 'tcp')}
    return _gather(told)


def _expect_bounded(part):
    facts = part['facts']
    return expect_survived(part, moved=True) + failed(
        (not facts['terminated'], 'no session was ended'),
        (1 <= facts['switches'] <= facts['allowed'], f'1 to {facts["allowed"]} switches ({facts["switches"]})'))


@scenario('uplink-flaps', f'{_FLAPS} times in {_FLAPS * _FLAP_S} s an uplink goes down and comes back: the first one, '
          'or the one in use', lambda result: _each(result, _expect_bounded), variants=(('--plain',),))
def uplink_flaps(story):
    pairs = {name: _pair(story, name[0]) for name in ('first', 'used')}
    streams = {name: Streams(pair) for name, pair in pairs.items()}
    pause(1, 'traffic both ways')
    watches = {name: story.watch(pair) for name, pair in pairs.items()}
    since = cut_at = now_ns()
    for _ in range(_FLAPS):
        gone = {'first': 0, 'used': _carrier(pairs['used'])}
        cut_at = now_ns()
        for name, pair in pairs.items():
            _go(pair, 'down', gone[name])
        time.sleep(_FLAP_S / 2)
        for name, pair in pairs.items():
            _come_back(pair, 'down', gone[name])
        time.sleep(max(0, _FLAP_S - (now_ns() - cut_at) / 1e9))
    told = {name: watches[name].result(since, since, streams[name]) for name in pairs}
    for name, pair in pairs.items():
        # The first one is out of use after its first outage: what it does then is no reason to switch. One more may
        # happen to a busy machine.
        allowed = 2 if name == 'first' or not story.stage else int(story.stage.policy_value('max_switches_per_min'))
        told[name]['facts'] |= {'switches': _switches(pair.server.end, since), 'terminated': _terminated(pair, since),
                                'allowed': allowed}
    return _gather(told)


@scenario('uplink-none', 'both uplinks go; --hole seconds later the second is back',
          lambda result: _each(result, _expect_taken_over))
def uplink_none(story):
    pairs = {way: _pair(story, way[0]) for way in WAYS}
    streams = {way: Streams(pair) for way, pair in pairs.items()}
    pause(1, 'traffic both ways')
    watches, cuts, told = {}, {}, {}
    for way, pair in pairs.items():
        watches[way] = story.watch(pair)
        cuts[way] = now_ns()
        for number in (0, 1):
            _go(pair, way, number)
        if not story.options.plain and way == 'gateway':
            _go(pair, 'down', 0)  # the route around the tunnel stays otherwise
    pause(story.options.hole, 'no uplink')
    for way, pair in pairs.items():
        usable_at = _come_back(pair, way, 1)
        told[way] = watches[way].result(cuts[way], usable_at, streams[way])
    return _gather(told)
