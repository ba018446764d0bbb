# SPDX-License-Identifier: GPL-2.0-or-later
"""A31: charon's memory, threads and locks under tools that watch them, through all that a session can meet.

Read next: ../../memory.py.
"""
import contextlib
import fcntl
import os
import re
import signal
import socket
import time

from ...charon_story import scenario
from ...memory import (asan_through, charon_of_threads, helgrind_through, races, reports, sanitized, tsan_races, tsan_through,
                       valgrind_through)
from ...run import poll_until, say
from ...story import failed
from ...strongswan import Pair

_SESSIONS = 24
_FEW = 4
_LOADED = 4
_WHOLE_STACKS = ':fast_unwind_on_malloc=0'  # through charon's libraries, which keep no frame pointers


def _attached(pair, wanted, timeout):
    """Whether so many sessions are ATTACHED at both ends."""
    def there():
        views = [{s['session_id'] for s in charon.end.sessions() if s['state'] == 'ATTACHED'}
                 for charon in (pair.clients[0], pair.server)]
        return len(views[0] & views[1]) == wanted
    return bool(poll_until(there, timeout, step=0.2))


def _terminated(client, name):
    """swanctl --terminate."""
    client.ask('terminate', {'ike': name}, wait=60)


def _life(pair, slow, sessions):
    """Both ends through everything; yields (what was done, whether both are as they should be then)."""
    client, server, network = pair.clients[0], pair.server, pair.network
    place, names = network.clients[0], pair.names()[:sessions]

    def up():
        return _attached(pair, 1, 15 * slow) and bool(poll_until(
            lambda: network.ping(client.namespace, pair.inner(), 3) > 0, 15 * slow))

    client.initiate(names[0], pair.children[0], 20 * slow)
    yield 'connect', up()
    client.kill()
    client.start(20 * slow)
    client.initiate(names[0], pair.children[0], 20 * slow)
    yield 'the client killed, and back', up()
    network.rebind(place)
    yield 'NAT rebinding', up()
    for table in ({'ike': names[0]}, {'child': pair.children[0]}):
        client.ask('rekey', table)
        time.sleep(0.5 * slow)
        yield f'rekey of the {next(iter(table))}', up()
    server.ask('rekey', {'ike': 'lab'})
    time.sleep(0.5 * slow)
    yield 'rekey by the server', up()
    network.change_address(place)
    yield 'address change', up()
    network.hole(True)
    client.ask('rekey', {'child': pair.children[0]})  # waits in the hole
    time.sleep(3)
    network.hole(False)
    yield 'hole', up()
    for charon in (client, server):
        charon.load()
        charon.process.signal(signal.SIGHUP)
    yield 'swanctl --load-all, SIGHUP', up()
    _terminated(client, names[0])
    yield 'swanctl --terminate', _attached(pair, 0, 10 * slow)
    for name in names:
        client.initiate(name, pair.children[0], 20 * slow)
    yield 'many sessions', _attached(pair, sessions, 15 * slow)
    network.rebind(place)
    yield 'NAT rebinding of many', _attached(pair, sessions, 15 * slow)


def _memory(story, stage, through, slow, sessions=_SESSIONS, found=reports, **words):
    pair = Pair(story.run, 'p', stage, connections=sessions, **words)
    client, server = pair.clients[0], pair.server
    facts = {'steps': {}, 'reports': {}, 'others': {}, 'statuses': {}, 'left': {}, 'crashes': []}
    for charon in (server, client):
        charon.through = through(pair.folder, charon.name)
        charon.start(30 * slow)
    for what, well in _life(pair, slow, sessions):
        say(f'  {what}{"" if well else ": NOT as it should be"}')
        facts['steps'][what] = well
    # The other way they would all take the route of one of them.
    load = [story.run.start(['ping', '-q', '-f', '-l', '50', '-s', '1200', sa.virtual[0]], 'load.log', server.namespace)
            for sa in client.established()[:_LOADED]]
    time.sleep(0.5)
    for charon in (server, client):
        facts['statuses'][charon.name] = charon.process.stop(30 * slow)
        facts['reports'][charon.name], facts['others'][charon.name] = found(pair.folder, charon.name)
        facts['left'][charon.name] = charon.end.left_behind()
        facts['crashes'] += re.findall(r'.*(?:killing ourself|received \d+, |Segmentation|assertion).*', charon.log())
        facts['audit'] = facts.get('audit', []) + [charon.end.verify()]
    for ping in load:
        ping.kill()
    return {'figures': {f'{name}_of_the_host': count for name, count in facts['others'].items()}, 'facts': facts}


def _expect(result):
    facts = result['facts']
    return failed(
        *((well, f'all is well after: {what}') for what, well in facts['steps'].items()),
        *((not found, f'nothing of ours is reported at {name}: {found[:1]}') for name, found in facts['reports'].items()),
        *((status in (0, 99), f'{name} ends on SIGTERM under load ({status})')
          for name, status in facts['statuses'].items()),
        *((not left, f'{name} leaves nothing behind ({left})') for name, left in facts['left'].items()),
        (not facts['crashes'], f'no thread of a charon crashed ({facts["crashes"]})'),
        *((status == 0, f'the audit is whole ({text})') for status, text in facts['audit']))


@scenario('memory', f'a session\'s whole life, then {_SESSIONS} of them and SIGTERM under load, with ASan, LSan and UBSan in '
          'the plugin', _expect, attacks=('A31',))
def memory(story):
    return _memory(story, sanitized(story), lambda *where: asan_through(*where, _WHOLE_STACKS), 2)


@scenario('valgrind', 'the same under valgrind; by hand, not in the check', _expect, variants=())
def valgrind(story):
    return _memory(story, story.stage, valgrind_through, 5)


@scenario('helgrind', 'the same under helgrind, with fewer sessions; by hand, not in the check', _expect, variants=())
def helgrind(story):
    return _memory(story, story.stage, helgrind_through, 8, _FEW, races)


def _expect_threads(result):
    # How libstrongswan's threads end is always reported (memory.py): silence would be of a sanitizer that was not there.
    return _expect(result) + failed(
        *((count > 0, f'the sanitizer reported something of {name}\'s own') for name, count in result['facts']['others'].items()))


@scenario('threads', 'the same with charon itself and the plugin under ThreadSanitizer; by hand (tools/proof threads --charon)',
          _expect_threads, variants=())
def threads(story):
    return _memory(story, story.stage, tsan_through, 4, _FEW, tsan_races, program=charon_of_threads())


# A plugin that cannot start

def _listening(path):
    there = socket.socket(socket.AF_UNIX)
    there.bind(path)
    there.listen()
    return there


def _locked(path):
    lock = open(path, 'w', encoding='ascii')
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _hindrances(end, folder):
    """What is in the way: its name, settings that differ, something that is held meanwhile, a word of the line."""
    with open(f'{folder}/file', 'w', encoding='ascii') as file:
        file.write('transport_lost_ttl_ms = soon\n')
    return (('no policy', {'policy': f'{folder}/nowhere.ini'}, None, 'nowhere.ini'),
            ('a policy of nonsense', {'policy': f'{folder}/file'}, None, f'{folder}/file'),
            ('a file in the state folder\'s place', {'state_dir': f'{folder}/file'}, None, f'{folder}/file'),
            ('no folder for the audit', {'audit_dir': f'{folder}/file/audit'}, None, f'{folder}/file/audit'),
            ('no folder for the control socket', {'run_dir': f'{folder}/file/run'}, None, f'{folder}/file/run'),
            ('the name in use', {}, lambda: _locked(f'{end.state}/{end.name}.lock'), end.name),
            ('the control socket in use', {}, lambda: _listening(f'{end.run_dir}/{end.name}.sock'), f'{end.name}.sock'),
            ('no sessions at all', {'max_sessions': 0}, None, 'max_sessions'),
            ('no role', {'server': False, 'client': False}, None, 'server = no'))


def _lines(charon, length):
    return re.findall(r'\] jumping: (.*)', charon.log()[length:])


def _expect_half_way(result):
    facts = result['facts']
    return [f'{what}: {sentence}' for what, step in facts['steps'].items() for sentence in failed(
        (len(step['lines']) == 1 and step['lines'][0].startswith('not loaded: ') and step['word'] in step['lines'][0],
         f'one line says it, and names {step["word"]} ({step["lines"]})'),
        (step['answers'], 'charon goes on without the plugin'),
        (step['status'] in (0, 99), f'charon ends well ({step["status"]})'),
        (not step['left'], f'nothing is left behind ({step["left"]})'))] + failed(
        (facts['at_last'] == 1, f'without a hindrance it loads ({facts["at_last"]})'),
        (not facts['reports'], f'nothing of ours is reported: {facts["reports"][:1]}'))


@scenario('half-way', 'a plugin that cannot start is said in one line and leaves nothing, with ASan and LSan in it',
          _expect_half_way, attacks=('A31',))
def half_way(story):
    pair = Pair(story.run, 'p', sanitized(story))
    charon, end = pair.server, pair.server.end
    charon.through = asan_through(pair.folder, charon.name, _WHOLE_STACKS)
    good, steps = dict(charon.settings['plugins']['jumping']), {}
    for what, changed, hold, word in _hindrances(end, pair.folder):
        charon.settings['plugins']['jumping'] = good | changed
        charon.write()
        held = hold() if hold else None
        length = len(charon.log())
        charon.launch()
        answers = bool(poll_until(charon.answers, 60))
        status = charon.process.stop(30)
        if held:
            held.close()
        with contextlib.suppress(FileNotFoundError):
            if hold and what.startswith('the control'):
                os.unlink(f'{end.run_dir}/{end.name}.sock')  # it was not the plugin's to remove
        steps[what] = {'lines': _lines(charon, length), 'word': word, 'answers': answers, 'status': status,
                       'left': end.left_behind() if os.path.exists(f'{end.state}/{end.name}.lock') else []}
        say(f'  {what}: {steps[what]["lines"]}')
    charon.settings['plugins']['jumping'] = good
    charon.write()
    length = len(charon.log())
    charon.start(60)
    loaded = sum(line.startswith('loaded') for line in _lines(charon, length))
    charon.process.stop(30)
    ours, others = reports(pair.folder, charon.name)
    return {'figures': {'of_the_host': others}, 'facts': {'steps': steps, 'at_last': loaded, 'reports': ours}}
