# SPDX-License-Identifier: GPL-2.0-or-later
"""A36: charon when the session has to move and the kernel gives no descriptor, takes no datagram, or has no memory.

EPERM and a full disk are in ../attacks_path.py and ../attacks_birth.py. Read next: moves.py.
"""
import contextlib
import errno
import mmap
import os
import re
import resource
import struct
import time

from ...charon_story import expect_survived, scenario
from ...jumping import changes
from ...run import REPOSITORY, Fault, command, now_ns, poll_until
from ...story import failed, pause
from ...streams import Streams


def _leave_none(process):
    """From now on this process gets no new descriptor. Returns its limits before."""
    opened = {int(name) for name in os.listdir(f'/proc/{process.pid}/fd')}
    lowest = next(number for number in range(len(opened) + 1) if number not in opened)
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    return before


def _expect(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        (facts['went_on'], 'traffic went on from another mapping while there was no descriptor'),
        (facts['there_was_none'], 'there was none'))


@scenario('a36-descriptors', 'neither charon can open anything (RLIMIT_NOFILE), and the NAT rebinds', _expect, attacks=('A36',))
def a36_descriptors(story):
    pair = story.pair()
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    charons = (pair.clients[0], pair.server)
    opened = [len(os.listdir(f'/proc/{charon.process.pid}/fd')) for charon in charons]
    before = [_leave_none(charon.process) for charon in charons]
    cut_at = now_ns()
    usable_at = pair.network.rebind(pair.network.clients[0])
    went_on = streams.wait_resumed(usable_at, 20)
    pause(2, 'without descriptors')
    none = all(len(os.listdir(f'/proc/{charon.process.pid}/fd')) <= count for charon, count in zip(charons, opened))
    for charon, limits in zip(charons, before):
        resource.prlimit(charon.process.pid, resource.RLIMIT_NOFILE, limits)
    result = watch.result(cut_at, usable_at, streams)
    result['facts'] |= {'went_on': went_on, 'there_was_none': none}
    return result


# Nothing can be sent; no memory

class _Starved:
    """What one charon does without, from a file that the preloaded starve.c looks at."""

    _FORM = struct.Struct('=5I')

    def __init__(self, story, charon, library):
        path = f'{story.run.folder}/{charon.name}.starve'
        with open(path, 'wb') as file:
            file.write(bytes(self._FORM.size))
        with open(path, 'r+b') as file:
            self._file = mmap.mmap(file.fileno(), self._FORM.size)
        charon.through = ['env', f'LD_PRELOAD={library}', f'STARVE={path}']

    def want(self, send_errno=0, of_four=4, no_memory=False):
        struct.pack_into('=3I', self._file, 0, send_errno, of_four, no_memory)

    def refused(self):
        """(datagrams, allocations) so far."""
        return self._FORM.unpack(self._file[:])[3:]


def _pair(story, **words):
    """A pair whose charons can be starved, and by what, by their names."""
    library, starved = f'{story.run.folder}/starve.so', {}
    command('cc', '-std=gnu11', '-O2', '-shared', '-fPIC', '-o', library, f'{REPOSITORY}/tools/lib/starve.c')

    def before(pair):
        starved.update({charon.name: _Starved(story, charon, library) for charon in (pair.server, *pair.clients)})
    return story.pair(before=before, **words), starved


def _each(starved, **words):
    for one in starved.values():
        one.want(**words)


def _alike(pair, client=None):
    """Both ends ATTACHED, at one generation."""
    views = pair.is_attached(client)
    return views and views[0]['generation'] == views[1]['generation']


def _said(charon, pattern):
    return len(re.findall(pattern, charon.log()))


def _crashed(pair):
    return [charon.name for charon in (pair.server, *pair.clients)
            if not charon.process.running() or _said(charon, 'killing ourself|received 11')]


def _expect_sends(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        *((facts['refused'][end] > 0 and facts['said'][end] > 0,
           f'the {end}\'s kernel refused to send, and charon\'s log says so ({facts["refused"][end]}, {facts["said"][end]})')
          for end in facts['refused']),
        *((hold['held'] == hold['sent'] > 0 and hold['dropped'] == 0, f'{end}: all that was held was sent ({hold})')
          for end, hold in facts['hold'].items()),
        *((well, f'three of four are refused, and the NAT rebinds: {what}') for what, well in facts['partly'].items()),
        (facts['crashed'] == [], f'both charons run ({facts["crashed"]})'))


@scenario('a36-sends', 'ENOBUFS for all that both charons send, then for three of four; the NAT rebinds meanwhile', _expect_sends,
          variants=(), attacks=('A36',))
def a36_sends(story):
    pair, starved = _pair(story, policy={'max_switches_per_min': 60})
    place, charons = pair.network.clients[0], {'client': pair.clients[0], 'server': pair.server}
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = now_ns()
    _each(starved, send_errno=errno.ENOBUFS)
    pair.network.rebind(place)
    pause(4, 'nothing can be sent')
    _each(starved)
    result = watch.result(cut_at, now_ns(), streams)
    facts = result['facts']
    facts['hold'] = {end: charon.end.stats()['hold'] for end, charon in charons.items()}
    before = pair.shared_session()
    _each(starved, send_errno=errno.ENOBUFS, of_four=3)
    pair.network.rebind(place)
    pause(8, 'of four datagrams one is sent')
    _each(starved)
    facts['partly'] = {'both ends agree afterwards': bool(poll_until(lambda: _alike(pair), 30, step=0.1)),
                       'traffic flows': streams.wait_resumed(now_ns(), 20)}
    after = pair.shared_session()
    facts['partly']['it is the same session'] = bool(after) and after[0]['session_id'] == before[0]['session_id']
    facts |= {'refused': {end: starved[charon.name].refused()[0] for end, charon in charons.items()},
              'said': {end: _said(charon, 'error writing to socket: No buffer space available') for end, charon in charons.items()},
              'crashed': _crashed(pair)}
    return result


def _expect_memory(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        *((well, what) for what, well in facts['steps'].items()),
        *((refused > 0, f'{name} asked for memory that was not there ({refused})') for name, refused in facts['refused'].items()),
        (facts['crashed'] == [], f'the charons run ({facts["crashed"]})'))


def _gone(pair, client, wait):
    """Neither end has an IKE_SA of this client any more."""
    name = pair.identity(client)
    return bool(poll_until(lambda: not client.sas() and not any(sa.remote_id == name for sa in pair.server.sas()), wait, step=0.1))


def _ended(pair, client, since):
    """Both audits have the end of one session, and its reason."""
    return all([new for _, new, reason in changes(charon.end.events(since)) if new == 'TERMINATED' and reason] == ['TERMINATED']
               for charon in (client, pair.server))


def _no_session(pair, client):
    """Asked while there is memory: without any, no answer comes."""
    name = pair.identity(client)
    return not any(view['state'] != 'TERMINATED' for view in client.end.sessions()) and not any(
        view['peer'] == name and view['state'] != 'TERMINATED' for view in pair.server.end.sessions())


def _connect(pair, client):
    """True if it came up and stayed so for two seconds."""
    with contextlib.suppress(Fault):
        client.initiate(pair.names(pair.clients.index(client))[0], pair.children[0], 10)
        time.sleep(2)
        return bool(pair.is_attached(client))
    return False


@scenario('a36-memory', 'no memory for the plugins of both ends: a move, a handshake, a rekeying, an end, a start', _expect_memory,
          attacks=('A36',))
def a36_memory(story):
    pair, starved = _pair(story, on_clients=(True, True), waiting=1, policy={'max_switches_per_min': 60})
    client, other = pair.clients
    server, place, steps = pair.server, pair.network.clients[0], {}
    streams = Streams(pair)
    pause(2, 'traffic both ways')
    watch = story.watch(pair)
    cut_at = now_ns()
    _each(starved, no_memory=True)
    pair.network.rebind(place)
    pause(4, 'no memory')
    _each(starved)
    result = watch.result(cut_at, now_ns(), streams)
    steps['a move: each end has said it, and once'] = all(_said(charon, 'jumping: no memory: ') == 1 for charon in (client, server))

    other.start()
    _each(starved, no_memory=True)
    came = _connect(pair, other)
    steps['a handshake: its IKE_SA does not stay'] = not came and _gone(pair, other, 10)
    steps['a handshake: it is said why'] = _said(server, r'no session for .*\(no memory\): closing its IKE_SA') == 1
    _each(starved)
    steps['a handshake: there is no session'] = _no_session(pair, other)
    steps['a handshake: the first session is there'] = bool(poll_until(lambda: _alike(pair, client), 10))
    steps['a handshake: afterwards it comes up'] = _connect(pair, other)

    since = now_ns()
    _each(starved, no_memory=True)
    client.ask('terminate', {'ike': pair.names()[0], 'timeout': '-1'})
    steps['an end: both IKE_SAs go'] = _gone(pair, client, 5)
    steps['an end: both sessions end with them'] = bool(poll_until(lambda: _ended(pair, client, since), 1))
    _each(starved)
    steps['an end: there is no session'] = _no_session(pair, client)
    steps['an end: afterwards it comes up'] = _connect(pair, client)

    since = now_ns()
    _each(starved, no_memory=True)
    client.ask('rekey', {'ike': pair.names()[0]})
    steps['a rekeying: both IKE_SAs go'] = _gone(pair, client, 15)
    steps['a rekeying: both sessions end with them'] = bool(poll_until(lambda: _ended(pair, client, since), 1))
    _each(starved)
    steps['a rekeying: there is no session'] = _no_session(pair, client)
    steps['a rekeying: it is said why'] = _said(client, r'no session for .*\(no memory\)') + _said(
        server, r'no session for \'client0.*\(no memory\)') > 0
    steps['a rekeying: afterwards it comes up'] = _connect(pair, client)
    steps['the other session was not touched'] = bool(_alike(pair, other))

    other.process.stop(20)
    _each(starved, no_memory=True)
    other.start()
    steps['a start: charon runs without the plugin, and says so'] = _said(other, 'jumping: not loaded: not enough memory') == 1
    other.process.stop(20)
    _each(starved)
    other.start()
    steps['a start: afterwards it comes up'] = _connect(pair, other)
    result['facts'] |= {'steps': steps, 'refused': {name: one.refused()[1] for name, one in starved.items()}, 'crashed': _crashed(pair)}
    return result
