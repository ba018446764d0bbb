# SPDX-License-Identifier: GPL-2.0-or-later
"""A31: what the plugin does to its host's process: memory, descriptors, children, start and stop, another root.

Read next: host_unit.py.
"""
import os
import signal
import time

from ..memory import asan_through, reports, sanitized, valgrind_through
from ..openvpn import TUNNEL_SERVER, Pair
from ..run import now_ns, poll_until, say
from ..story import changes, expect_survived, failed, pause, scenario
from ..streams import Streams
from .host_life import ENDS, descriptors, end_of, settled, tasks


# Another root

def _jail(pair, end):
    """A folder with what a chroot must hold: a place for temporary files and the folder of client files."""
    jail = f'{pair.folder}/jail-{end}'
    for name, mode in (('', 0o755), ('/tmp', 0o777), ('/ccd', 0o755)):
        os.mkdir(jail + name)
        os.chmod(jail + name, mode)
    return jail


def _expect_chroot(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        *((facts['roots'][end].endswith(f'/jail-{end}'), f'the {end} is in its jail ({facts["roots"][end]})')
          for end in ENDS),
        *((facts['tasks'][end] == 1, f'the {end} has one thread') for end in ENDS),
        *((facts['audit'][end][0] == 0, f'the {end}\'s audit is whole ({facts["audit"][end][1]})') for end in ENDS),
        *((facts['moves'][end] > 0, f'the {end}\'s audit has the move') for end in ENDS),
        *((facts['statuses'][end] == 0, f'the {end} ends with status 0 ({facts["statuses"][end]})') for end in ENDS))


@scenario('a31-chroot', 'NAT rebinding of daemons of user nobody in a chroot', _expect_chroot, attacks=('A31',))
def a31_chroot(story):
    pair = Pair(story.run, 'p', story.stage, detached=True)
    for end in ENDS:
        daemon = end_of(pair, end)
        more = [f'chroot {_jail(pair, end)}', *(['client-config-dir ccd'] if end == 'server' else [])]
        with open(daemon.config, encoding='utf-8') as file:
            text = file.read()
        with open(daemon.config, 'w', encoding='utf-8') as file:
            file.write('\n'.join([*more, text]))
    pair.start()
    streams = Streams(pair)
    pause(1, 'traffic both ways')
    watch, cut_at = story.watch(pair), now_ns()
    result = watch.result(cut_at, pair.network.rebind(pair.network.clients[0]), streams)
    result['facts'] |= {'roots': {end: os.readlink(f'/proc/{end_of(pair, end).process.pid}/root') for end in ENDS},
                        'tasks': {end: tasks(end_of(pair, end)) for end in ENDS}}
    if story.stage:
        result['facts'] |= {
            'moves': {end: sum(new == 'ATTACHED' for _, new, _ in changes(end_of(pair, end).end.events(cut_at)))
                      for end in ENDS},
            'statuses': {end: end_of(pair, end).process.stop() for end in ENDS},
            'audit': {end: end_of(pair, end).end.verify() for end in ENDS}}
    return result


# Start and stop

def _expect_stops(result):
    facts = result['facts']
    return failed(
        (set(facts['statuses']) == {0}, f'every stop ends with status 0 ({facts["statuses"]})'),
        (not any(facts['left']), f'nothing is left behind ({[left for left in facts["left"] if left]})'),
        (facts['ended'] == facts['stops'], f'every session ended at the server ({facts["ended"]} of {facts["stops"]})'),
        # A farewell is one datagram, and this one leaves into a flood: then the next connection ends the old session.
        (facts['told'] >= facts['stops'] * 3 // 4, f'the server was told of the stops ({facts["told"]} of {facts["stops"]})'),
        (facts['open_after'] == facts['open_before'],
         f'the server has open what it had at first ({facts["open_before"]}, then {facts["open_after"]})'),
        (facts['server_status'] == 0 and not facts['server_left'], f'the server stops and leaves nothing '
         f'({facts["server_status"]}, {facts["server_left"]})'),
        (facts['client_told'], 'the client was told of the server\'s end'))


@scenario('a31-stops', 'SIGTERM to a loaded client again and again, at last to the server (plugin only)', _expect_stops,
          attacks=('A31',))
def a31_stops(story, stops=20):
    pair = story.pair()
    client, server = pair.clients[0], pair.server
    statuses, left, opened = [], [], {}
    for number in range(stops):
        if number:
            client.start()
            pair.attached()
        load = story.run.start(['ping', '-q', '-f', '-l', '50', '-s', '1200', TUNNEL_SERVER], 'load.log', client.namespace)
        time.sleep(0.3)
        opened = opened or descriptors(server)
        statuses.append(client.process.stop())
        load.kill()
        left.append(client.end.left_behind())
    client.start()
    pair.attached()
    ends = [why for _, new, why in changes(server.end.events()) if new == 'TERMINATED']
    facts = {'stops': stops, 'statuses': statuses, 'left': left, 'told': ends.count('peer_terminated'), 'ended': len(ends),
             'open_before': opened, 'open_after': settled(server, opened)}
    facts['server_status'] = server.process.stop()
    facts['server_left'] = server.end.left_behind()
    facts['client_told'] = bool(poll_until(lambda: any(
        why == 'peer_terminated' for _, new, why in changes(client.end.events())), 5))
    return {'figures': {}, 'facts': facts}


# A process that stands still

def _expect_suspended(result):
    return sum(([f'{end}: {sentence}' for sentence in failed(
        (step['facts']['resumed'], 'traffic flows again'),
        (step['facts'].get('same_tcp_connection') is not False, 'the inner TCP connection is the same'),
        (step['session']['attached'] and step['session']['same'], 'the session is the same'),
        (step['facts']['handshakes'] == 0, 'no TLS handshake took place'),
        (step['facts']['client_restarts'] == 0, 'the client was not restarted'))]
        for end, step in result['facts']['steps'].items()), [])


@scenario('a31-suspended', 'each end stands still (SIGSTOP) for --hole seconds under traffic', _expect_suspended,
          attacks=('A31',))
def a31_suspended(story):
    pair = story.pair()
    streams = Streams(pair)
    steps = {}
    for end in ENDS:
        pause(1, 'traffic both ways')
        watch, cut_at = story.watch(pair), now_ns()
        end_of(pair, end).process.signal(signal.SIGSTOP)
        pause(story.options.hole, f'the {end} stands still')
        end_of(pair, end).process.signal(signal.SIGCONT)
        steps[end] = watch.result(cut_at, now_ns(), streams)
    return {'figures': {f'{end}_{key}': value for end, step in steps.items() for key, value in step['figures'].items()
                        if key.endswith('back_s')}, 'facts': {'steps': steps}}


# Scripts that leave children behind

def _script(folder, name):
    """A script that leaves a child in the background and writes its id to a file."""
    path = f'{folder}/{name}.sh'
    with open(path, 'w', encoding='ascii') as file:
        file.write(f'#!/bin/sh\nsleep 120 &\necho $! >{folder}/{name}.child\nexit 0\n')
    os.chmod(path, 0o755)
    return path


def _inherited(child, parent):
    """What a child has open of its parent's, other than its output."""
    def opened(pid):
        folder = f'/proc/{pid}/fd'
        return {name: os.readlink(f'{folder}/{name}') for name in os.listdir(folder)}
    theirs = set(opened(parent).values())
    return sorted(target for number, target in opened(child).items() if int(number) > 2 and target in theirs)


def _expect_forks(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        (len(facts['children']) == 5, f'every script left a child ({sorted(facts["children"])})'),
        *((not files, f'the child of {name} has none of our descriptors ({files})')
          for name, files in facts['children'].items()),
        *((facts['tasks'][end] == 1, f'the {end} has one thread') for end in ENDS))


@scenario('a31-forks', 'scripts that leave children in the background; then a NAT rebinding', _expect_forks,
          attacks=('A31',))
def a31_forks(story):
    folder = story.run.folder
    scripts = {name: _script(folder, name) for name in ('server-up', 'client-connect', 'learn-address', 'client-up',
                                                        'route-up')}
    pair = story.pair(
        server_lines=['script-security 2', f'up {scripts["server-up"]}', f'client-connect {scripts["client-connect"]}',
                      f'learn-address {scripts["learn-address"]}'],
        client_lines=['script-security 2', f'up {scripts["client-up"]}', f'route-up {scripts["route-up"]}'])
    children = {}
    for name in scripts:
        with open(f'{folder}/{name}.child', encoding='ascii') as file:
            owner = pair.clients[0] if name in ('client-up', 'route-up') else pair.server
            children[name] = _inherited(int(file.read()), owner.process.pid)
    streams = Streams(pair)
    pause(1, 'traffic both ways')
    watch, cut_at = story.watch(pair), now_ns()
    result = watch.result(cut_at, pair.network.rebind(pair.network.clients[0]), streams)
    result['facts'] |= {'children': children, 'tasks': {end: tasks(end_of(pair, end)) for end in ENDS}}
    return result


# Memory

def _memory(story, stage, through, slow):
    """Both ends under a tool: connect, rebind, SIGUSR1, SIGHUP, SIGTERM."""
    pair = Pair(story.run, 'p', stage)
    for end in ENDS:
        end_of(pair, end).through = through(pair.folder, end)
    for daemon in (pair.server, pair.clients[0]):
        daemon.start(60 * slow)
    pair.attached(timeout=20 * slow)
    facts = {'alive': [], 'reports': {}, 'others': {}, 'statuses': {}, 'tasks': []}
    pair.network.ping(pair.clients[0].namespace, TUNNEL_SERVER, 10)
    pair.network.rebind(pair.network.clients[0])
    pair.network.ping(pair.clients[0].namespace, TUNNEL_SERVER, 10)
    for end in ENDS:
        for number in (signal.SIGUSR1, signal.SIGHUP):
            before = pair.attached(timeout=20 * slow)[0]['session_id']
            end_of(pair, end).process.signal(number)
            say(f'  {end} {number.name}')
            facts['alive'].append(bool(poll_until(
                lambda: (v := pair.is_attached()) and v[0]['session_id'] != before, 30 * slow, step=0.1)))
            pair.network.ping(pair.clients[0].namespace, TUNNEL_SERVER, 3)
            facts['tasks'] += [tasks(end_of(pair, side)) for side in ENDS]
    for end in ENDS:
        facts['statuses'][end] = end_of(pair, end).process.stop(20 * slow)
        facts['reports'][end], facts['others'][end] = reports(pair.folder, end)
    return {'figures': {f'{end}_of_the_host': facts['others'][end] for end in ENDS}, 'facts': facts}


def _expect_memory(result):
    facts = result['facts']
    return failed(
        (len(facts['alive']) == 4 and all(facts['alive']), f'each signal ended in a new session ({facts["alive"]})'),
        (set(facts['tasks']) == {1}, f'one thread through the whole life ({facts["tasks"]})'),
        *((not facts['reports'][end], f'nothing of ours is reported at the {end}: {facts["reports"][end][:1]}')
          for end in ENDS),
        *((facts['statuses'][end] in (0, 99), f'the {end} ends on SIGTERM ({facts["statuses"][end]})') for end in ENDS))


@scenario('a31-memory', 'connect, rebind, SIGUSR1, SIGHUP, SIGTERM with ASan, LSan and UBSan in the plugin', _expect_memory,
          attacks=('A31',))
def a31_memory(story):
    return _memory(story, sanitized(story), asan_through, 2)


@scenario('a31-valgrind', 'the same under valgrind; by hand, not in the check', _expect_memory, variants=())
def a31_valgrind(story):
    return _memory(story, story.stage, valgrind_through, 4)
