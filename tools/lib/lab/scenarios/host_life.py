# SPDX-License-Identifier: GPL-2.0-or-later
"""A31: the life of the process around its sessions: signals, dropped privileges, another root.

Read next: host_unit.py.
"""
import os
import signal

from ..run import now_ns, poll_until, say
from ..story import failed, pause, scenario
from ..streams import Streams

# A device node that anyone may open, as udev makes it, where this machine's own is root's. It is mounted in the mount
# namespace that `ip netns exec` has made, and so seen by this process alone.
OPEN_TUN = ('sh', '-c', 'mount -t tmpfs -o mode=755 tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 && '
            'chmod 666 /dev/net/tun && exec "$@"', 'sh')
ENDS = ('client', 'server')


def end_of(pair, end):
    return {'client': pair.clients[0], 'server': pair.server}[end]


def tasks(daemon):
    """Threads of the process."""
    return len(os.listdir(f'/proc/{daemon.process.pid}/task'))


def descriptors(daemon):
    """What the process has open, by kind: {'socket': 4, '/dev/net/tun': 1, ...}."""
    folder = f'/proc/{daemon.process.pid}/fd'
    found = {}
    for name in os.listdir(folder):
        try:
            target = os.readlink(f'{folder}/{name}').split(':[')[0]
        except FileNotFoundError:
            continue
        found[target] = found.get(target, 0) + 1
    return found


def settled(daemon, before):
    """What it has open once that is what it had before; who asks on the control socket has a descriptor for a moment."""
    poll_until(lambda: descriptors(daemon) == before, 3, step=0.1)
    return descriptors(daemon)


def readable_for_all(pair):
    """As an administrator must have it who wants SIGHUP to work for a dropped user: OpenVPN's own files."""
    for path in (pair.run.folder, pair.folder, f'{pair.folder}/pki'):
        os.chmod(path, 0o777)
    for top, _, files in os.walk(pair.folder):
        for name in files:
            if name.endswith(('.conf', '.key', '.crt', '.pem', '.pid', '.ini')):
                os.chmod(f'{top}/{name}', 0o666)
    for daemon in (pair.server, *pair.clients):
        os.chmod(daemon.process.log_path, 0o666)


def _signal(story, pair, streams, end, number, opened):
    """Send a signal to one end under traffic; what became of the session, the traffic and the process."""
    daemon = end_of(pair, end)
    watch = story.watch(pair)
    lives, sent_at = daemon.lives(), now_ns()
    daemon.process.signal(number)
    poll_until(lambda: not daemon.process.running() or daemon.lives() > lives, 20)
    usable_at = now_ns()
    if not daemon.process.running():
        return {'figures': {}, 'facts': {'running': False}}
    result = watch.result(sent_at, usable_at, streams, limit=40, attach=20)
    result['facts'] |= {'running': True, 'tasks': {side: tasks(end_of(pair, side)) for side in ENDS},
                        'open': {side: settled(end_of(pair, side), opened[side]) for side in ENDS}}
    result.get('session', {}).pop('events', None)
    return result


def _signals(story, pair, numbers):
    streams = Streams(pair)
    pause(1, 'traffic both ways')
    result = {'figures': {}, 'facts': {'steps': {}, 'open': {side: descriptors(end_of(pair, side)) for side in ENDS}}}
    for end in ENDS:
        for number in numbers:
            name = f'{end} {number.name}'
            say(f'  {name}')
            step = _signal(story, pair, streams, end, number, result['facts']['open'])
            result['facts']['steps'][name] = step
            result['figures'][f'{name.replace(" ", "_").lower()}_downlink_gap_s'] = step['figures'].get('downlink_gap_s')
    if story.stage:
        result['facts']['audit'] = {side: end_of(pair, side).end.verify() for side in ENDS}
    return result


def expect_reborn(name, step, opened):
    """One signal: the old session ended with its reason at both ends, a new one took its place, nothing piled up."""
    facts = step['facts']
    if not facts['running']:
        return [f'{name}: the process lives on']
    session = step['session']
    mine, other = ('client', 'server') if name.startswith('client') else ('server', 'client')
    ended = {end: [(new, reason) for _, new, reason in session['changes'][end] if new == 'TERMINATED'] for end in ENDS}
    return failed(
        (facts['resumed'], f'{name}: traffic flows again'),
        (session['attached'] and not session['same'], f'{name}: a new session is ATTACHED at both ends'),
        (ended[mine] == [('TERMINATED', 'host_terminated')], f'{name}: the {mine} ended the old one ({ended[mine]})'),
        (ended[other] == [('TERMINATED', 'peer_terminated')], f'{name}: the {other} was told ({ended[other]})'),
        (facts['handshakes'] == 1, f'{name}: one TLS handshake, no storm ({facts["handshakes"]})'),
        *((facts['tasks'][end] == 1, f'{name}: the {end} has one thread ({facts["tasks"][end]})') for end in ENDS),
        *((facts['open'][end] == opened[end],
           f'{name}: the {end} has open what it had before ({opened[end]}, then {facts["open"][end]})') for end in ENDS))


def _expect_signals(result):
    facts = result['facts']
    return sum((expect_reborn(name, step, facts['open']) for name, step in facts['steps'].items()), []) + failed(
        *((status == 0, f'jumpctl audit verify finds the {end}\'s log whole ({text})')
          for end, (status, text) in facts['audit'].items()))


@scenario('a31-signals', 'SIGUSR1 and SIGHUP to each end under traffic', _expect_signals, attacks=('A31',))
def a31_signals(story):
    return _signals(story, story.pair(), (signal.SIGUSR1, signal.SIGHUP))


def _terminated(pair):
    """An operator ends the session on the server; whether its management connection still ends the instance."""
    before = pair.attached()[1]['session_id']
    closed = pair.server.log().count("MANAGEMENT: CMD 'kill")
    status = pair.server.end.terminate(before)
    views = poll_until(lambda: (v := pair.is_attached()) and v[1]['session_id'] != before and v, 20, step=0.05)
    return {'status': status[0], 'reborn': bool(views),
            'instance_closed': pair.server.log().count("MANAGEMENT: CMD 'kill") > closed}


def _unreadable_policy(pair):
    """SIGHUP where the policy file cannot be read any more: what the client says, and that it ends."""
    client = pair.clients[0]
    said = len(client.said())
    os.chmod(f'{pair.folder}/policy.ini', 0o600)
    client.process.signal(signal.SIGHUP)
    return {'status': client.process.wait(10), 'lines': client.said()[said:]}


def _expect_dropped(result):
    facts = result['facts']
    ended, refused = facts['terminated'], facts['refused']
    return _expect_signals(result) + failed(
        (ended == {'status': 0, 'reborn': True, 'instance_closed': True},
         f'after SIGHUP jumpctl terminate ends a session and its instance ({ended})'),
        (refused['status'] not in (None, 0), f'without a readable policy OpenVPN ends ({refused["status"]})'),
        (len(refused['lines']) == 1 and 'policy.ini: Permission denied' in refused['lines'][0]
         and 'restart OpenVPN instead' in refused['lines'][0],
         f'one line names the policy file and says what to do ({refused["lines"]})'))


@scenario('a31-signals-dropped', 'the same to daemons of user nobody, group nogroup, whose own files they can read',
          _expect_dropped, attacks=('A31',))
def a31_signals_dropped(story):
    pair = story.pair(detached=True, through=OPEN_TUN, policy={'transport_lost_ttl_ms': 300000} if story.stage else None)
    readable_for_all(pair)
    result = _signals(story, pair, (signal.SIGUSR1, signal.SIGHUP))
    if story.stage:
        result['facts'] |= {'terminated': _terminated(pair), 'refused': _unreadable_policy(pair)}
    return result


@scenario('a31-signals-no-persist', 'the same without persist-key and persist-tun', _expect_signals, attacks=('A31',))
def a31_signals_no_persist(story):
    return _signals(story, story.pair(persist=False), (signal.SIGUSR1, signal.SIGHUP))
