# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of charon around its sessions: its settings are read again, its users come and go, it is stopped under load.

Read next: without.py.
"""
import os

from ...charon_story import scenario
from ...run import now_ns, poll_until, wait_until
from ...story import failed, pause
from ...streams import Streams
from ...strongswan import memory_kib

_RELOADS = 10
_BIRTHS = 30
_WARM = 10
_GROWN_KIB = 1024


def _charons(pair):
    return {'client': pair.clients[0], 'server': pair.server}


def _held(charon, wanted=None):
    """(threads, descriptors) of a second without questions through vici, which cost one of the latter for a moment."""
    place, seen = f'/proc/{charon.process.pid}', []

    def look():
        seen.append((len(os.listdir(f'{place}/task')), len(os.listdir(f'{place}/fd'))))
        return seen[-1] == wanted
    poll_until(look, 1, step=0.05)
    return wanted if wanted in seen else min(seen)


def _expect_reloads(result):
    facts = result['facts']
    return failed(
        (facts['packets_missed'] == 0, f'no packet was lost ({facts["packets_missed"]})'),
        (facts['same_ike_spis'] and facts['same_esp_spis'], 'the IKE_SA and its CHILD_SA are the same at both ends'),
        (facts['handshakes'] == 0, f'nobody authenticated anew ({facts["handshakes"]} did)'),
        (facts['session_unmoved'], 'the session is the same at both ends, and where it was'),
        *((facts[f'{end}_held'] == facts[f'{end}_held_before'],
           f'the {end} has the threads and descriptors that it had ({facts[f"{end}_held_before"]}, then '
           f'{facts[f"{end}_held"]})') for end in ('client', 'server')),
        (facts['client_status'] == 0 and facts['server_status'] == 0,
         f'both charons end with status 0 on SIGTERM under load ({facts["client_status"]}, {facts["server_status"]})'),
        (facts['server_sas_left'] == 0, f'the client told the server that it leaves ({facts["server_sas_left"]} left)'))


@scenario('reloads', 'swanctl --load-all and reloaded settings under traffic, then SIGTERM to each end', _expect_reloads,
          attacks=('A31',))
def reloads(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch, since = story.watch(pair), now_ns()
    views = pair.attached() if story.stage else None
    held = {end: _held(charon) for end, charon in _charons(pair).items()}
    for _ in range(_RELOADS):
        for charon in _charons(pair).values():
            charon.load()
            charon.ask('reload-settings')
    pause(2, 'after the reloads')
    facts = {'packets_missed': sum(streams.streams[name].missed_since(since) or 0 for name in ('downlink', 'uplink')),
             **watch.compare(), 'handshakes': watch.counts()['handshakes'] - 1}
    if views:
        after = pair.shared_session()
        facts['session_unmoved'] = bool(after) and all(
            old[key] == new[key] for old, new in zip(views, after) for key in ('session_id', 'generation', 'state'))
    facts |= {f'{end}_held_before': held[end] for end in held} | {
        f'{end}_held': _held(charon, held[end]) for end, charon in _charons(pair).items()}
    facts['client_status'] = pair.clients[0].process.stop()
    facts['server_sas_left'] = len(pair.server.sas())
    facts['server_status'] = pair.server.process.stop()
    return {'figures': {}, 'facts': facts}


def _expect_births(result):
    facts = result['facts']
    return failed(
        (facts['handshakes'] == _BIRTHS, f'every IKE_SA was established ({facts["handshakes"]} of {_BIRTHS})'),
        (facts['sessions'] == {'client': 0, 'server': 0}, f'no session is left ({facts["sessions"]})'),
        *((grown <= _GROWN_KIB, f'the {end}\'s memory has not grown ({grown} KiB)')
          for end, grown in facts['memory_grown_kib'].items()),
        *((facts['held'][end] == facts['held_before'][end],
           f'the {end} has the threads and descriptors that it had ({facts["held_before"][end]}, then '
           f'{facts["held"][end]})') for end in ('client', 'server')),
        (facts['statuses'] == {'client': 0, 'server': 0}, f'both charons end with status 0 ({facts["statuses"]})'))


@scenario('births', f'{_BIRTHS} IKE_SAs one after the other, each born, used and ended: nothing is left of them',
          _expect_births, attacks=('A31',))
def births(story):
    pair = story.pair()
    client, name = pair.clients[0], pair.names()[0]
    for number in range(_BIRTHS):
        if number:
            pair.connect(client)
        if story.stage:
            pair.attached(client)
        pair.network.ping(client.namespace, pair.inner())
        client.ask('terminate', {'ike': name})
        wait_until(lambda: not pair.server.sas() and not client.sas(), 5, 'it is gone at both ends')
        if number == _WARM:
            memory = {end: memory_kib(charon) for end, charon in _charons(pair).items()}
            held = {end: _held(charon) for end, charon in _charons(pair).items()}
    def living(end):
        return [s for s in end.sessions() if s['state'] != 'TERMINATED'] if end else []
    return {'figures': {}, 'facts': {
        'handshakes': client.handshakes(), 'sessions': {end: len(living(c.end)) for end, c in _charons(pair).items()},
        'memory_grown_kib': {end: memory_kib(c) - memory[end] for end, c in _charons(pair).items()},
        'held_before': held, 'held': {end: _held(c, held[end]) for end, c in _charons(pair).items()},
        'statuses': {end: c.process.stop() for end, c in _charons(pair).items()}}}
