# SPDX-License-Identifier: GPL-2.0-or-later
"""A31: under Debian's systemd units, and what an administrator sees: management socket, refusals without remains.

Without systemd, which host_systemd.py has. What the installed unit files set is read from them and applied by what systemd
uses too: mount namespaces, resource limits, the capability bounding set, control groups, NOTIFY_SOCKET. Read next: neighbours.py.
"""
import fcntl
import os
import re
import shlex
import shutil
import socket
import subprocess

from ..cgroups import Group, device
from ..network import REPOSITORY
from ..openvpn import Pair
from ..run import Fault, now_ns, poll_until, say
from ..story import changes, expect_survived, failed, pause, scenario
from ..streams import Streams
from .host_life import ENDS, end_of, tasks

_UNITS = '/lib/systemd/system/openvpn-{}@.service'
_OLD_UNIT = '/lib/systemd/system/openvpn@.service'
_DROP_IN = f'{REPOSITORY}/plugins/openvpn/examples/systemd-strict.conf'
_KNOWN = {'Type', 'PrivateTmp', 'WorkingDirectory', 'ExecStart', 'CapabilityBoundingSet', 'LimitNPROC', 'TasksMax', 'DeviceAllow',
          'ProtectSystem', 'ProtectHome', 'KillMode', 'RestartSec', 'Restart', 'StateDirectory', 'StateDirectoryMode',
          'RuntimeDirectory', 'RuntimeDirectoryMode', 'RuntimeDirectoryPreserve', 'LogsDirectory', 'LogsDirectoryMode',
          'ReadWritePaths', 'PIDFile'}
_STATE_FILES = ('lab.audit.head', 'lab.audit.key', 'lab.key', 'lab.lock')
# Everything in the mount namespace that `ip netns exec` has made: nothing of it reaches the machine.
_PREPARE = '''set -e
for folder in /var/lib /var/log /run; do mount -t tmpfs -o mode=755 tmpfs $folder; done
mkdir -p /run/openvpn /run/openvpn-server /run/notify "$CONFIG"
mount --bind "$NOTIFY" /run/notify
mount --bind "$RUN" /run/openvpn
mount -t tmpfs -o mode=755 tmpfs "$CONFIG"
cp -r "$SOURCE"/. "$CONFIG"
'''


def _read_unit(*paths):
    """The [Service] section: {key: [values]}; a later file adds, as a drop-in does."""
    found, section = {}, ''
    for path in paths:
        with open(path, encoding='utf-8') as file:
            for line in file:
                line = line.strip()
                if line.startswith('['):
                    section = line
                elif section == '[Service]' and '=' in line and not line.startswith('#'):
                    key, value = line.split('=', 1)
                    found.setdefault(key, []).append(value)
    if unknown := set(found) - _KNOWN:
        raise Fault(f'{paths}: the lab does not know {", ".join(sorted(unknown))}')
    return found


def _group(run, end, unit):
    """The control group that systemd would make for the unit."""
    group = Group(run, end)
    if 'TasksMax' in unit:
        group.limit_tasks(unit['TasksMax'][-1])
    if 'DeviceAllow' in unit:
        group.limit_devices([device(*line.split()) for line in unit['DeviceAllow']])
    return group


def _script(unit, folder, group):
    """The shell script that makes the process's surroundings, then runs its arguments."""
    lines = [_PREPARE]
    writable = [folder]
    for key, base in (('StateDirectory', '/var/lib'), ('RuntimeDirectory', '/run'), ('LogsDirectory', '/var/log')):
        for name in ' '.join(unit.get(key, [])).split():
            lines.append(f'mkdir -p -m {unit.get(key + "Mode", ["0755"])[-1]} {base}/{name}')
            writable.append(f'{base}/{name}')
    for path in ' '.join(unit.get('ReadWritePaths', [])).split():
        writable.append(path.lstrip('-'))
    if 'true' in unit.get('PrivateTmp', []):
        lines.append('for folder in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $folder; done')
    if 'true' in unit.get('ProtectHome', []):
        lines.append('for folder in home root; do mount -t tmpfs -o mode=000,ro tmpfs /$folder; done')
    protect = unit.get('ProtectSystem', ['false'])[-1]
    closed = {'false': [], 'true': ['/usr', '/boot'], 'full': ['/usr', '/boot', '/etc'],
              'strict': ['/usr', '/boot', '/etc', '/opt', '/srv', '/var/lib', '/var/log', '/run']}[protect]
    if protect == 'strict':  # what is named writable is bound over itself, and so stays when its parent closes
        lines += [f'mkdir -p {path} && mount --bind {path} {path}' for path in writable]
    lines += [f'mount --rbind {path} {path} && mount -o remount,ro,bind {path}' for path in closed if path != folder]
    bounding = ','.join(['-all', *(f'+{name[4:].lower()}' for name in ' '.join(unit['CapabilityBoundingSet']).split())])
    limit = ['prlimit', f'--nproc={unit["LimitNPROC"][-1]}'] if 'LimitNPROC' in unit else []
    lines += [f'cd {folder}', *group.joining()]
    lines.append(' '.join(['exec', 'env', 'NOTIFY_SOCKET=/run/notify/socket', *limit, 'setpriv',
                           f'--bounding-set={bounding}', '"$@"']))
    return '\n'.join(lines)


class _Service:
    """One end of a pair, run as its unit would run it, with the plugin's own folders."""

    def __init__(self, pair, stage, end, drop_ins=(), unit_file=None):
        self._daemon = daemon = end_of(pair, end)
        self._unit = unit = _read_unit(unit_file or _UNITS.format(end), *drop_ins)
        self._group = _group(pair.run, f'{pair.label}-{end}', unit)
        folder = unit['WorkingDirectory'][-1]
        source, notify, self._run = (f'{pair.folder}/{end}-{name}' for name in ('etc', 'notify', 'run'))
        shutil.copytree(f'{pair.folder}/pki', source)
        for outside in (notify, self._run):
            os.mkdir(outside)
        shutil.copy(stage.plugin, f'{source}/openvpn-plugin-jumping.so')
        shutil.copy(stage.policy(), f'{source}/mobile.ini')
        with open(daemon.config, encoding='utf-8') as file:
            lines = [line.replace(f'{pair.folder}/pki/', '') for line in file.read().splitlines()
                     if not line.startswith('plugin ')]
        lines += ['user nobody', 'group nogroup',
                  f'plugin {folder}/openvpn-plugin-jumping.so {end} policy={folder}/mobile.ini']
        command = shlex.split(unit['ExecStart'][-1].replace('%t', '/run').replace('%i', 'lab'))
        if '--daemon' in command:  # it would write to the machine's syslog
            lines.append('log-append /proc/self/fd/1')
        with open(f'{source}/lab.conf', 'w', encoding='utf-8') as file:
            file.write('\n'.join([*lines, '']))
        daemon.words = command[1:]
        daemon.through = ['env', f'CONFIG={folder}', f'SOURCE={source}', f'NOTIFY={notify}', f'RUN={self._run}', 'sh', '-c',
                          _script(unit, folder, self._group), 'sh']
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f'{notify}/socket')
        os.chmod(f'{notify}/socket', 0o666)
        self._socket.setblocking(False)
        pair.run.defer(self._socket.close)
        daemon.end.name = 'lab'

    def started(self):
        """The process is there: its folders can be reached through it."""
        root, end = f'/proc/{self._daemon.process.pid}/root', self._daemon.end
        end.run_dir, end.state, end.audit = f'{root}/run/jumping', f'{root}/var/lib/jumping', f'{root}/var/log/jumping/lab.jsonl'

    def notified(self):
        text = b''
        while True:
            try:
                text += self._socket.recv(4096) + b'\n'
            except BlockingIOError:
                return text.decode()

    def status(self):
        """Of the process: its user, its bounding set, whether its limit of processes is the unit's."""
        pid = self._daemon.process.pid
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            lines = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
        with open(f'/proc/{pid}/limits', encoding='ascii') as file:
            limit = next(line.split()[2] for line in file if line.startswith('Max processes'))
        return {'user': lines['Uid'].split()[1], 'bounding': lines['CapBnd'],
                'limited': limit == self._unit.get('LimitNPROC', [limit])[-1]}

    def run_files(self):
        """In /run/openvpn: their names, and whether the pid is that of the process that was started."""
        with open(f'{self._run}/lab.pid', encoding='ascii') as file:
            return {'names': sorted(os.listdir(self._run)), 'pid': int(file.read()) == self._daemon.process.pid}

    def limits(self):
        """Of the unit's limits by control groups: what the kernel holds; None: this one has no such controller for us."""
        found = {}
        if 'TasksMax' in self._unit:
            found['TasksMax'] = self._group.value('pids', 'pids.max')
            found['tasks'] = self._group.value('pids', 'pids.current')
            found['refused'] = self._group.value('pids', 'pids.events')
        if 'DeviceAllow' in self._unit:
            devices = self._group.value('devices', 'devices.list')
            found['DeviceAllow'] = devices and devices.split('\n')
        return found


def _pair_of_units(story, drop_ins=(), unit_file=None):
    pair = Pair(story.run, 'p', story.stage)
    services = {end: _Service(pair, story.stage, end, drop_ins, unit_file) for end in ENDS}
    for end in ('server', 'client'):
        say(f'  starting the {end} as its unit does')
        end_of(pair, end).start()
        services[end].started()
    pair.attached()
    return pair, services


def _expect_limits(end, limits):
    """None stands for a controller that this machine does not have; the facts say so."""
    tun = device('/dev/net/tun', 'rw')
    return failed(
        (limits.get('TasksMax') in (None, '10'), f'the {end} has its TasksMax ({limits})'),
        (limits.get('tasks') in (None, '1'), f'the {end}\'s group has one thread ({limits})'),
        (limits.get('refused') in (None, 'max 0'), f'the {end} never wanted more than it may ({limits})'),
        (limits['DeviceAllow'] is None or (tun in limits['DeviceAllow'] and 'a *:* rwm' not in limits['DeviceAllow']),
         f'the {end} has its DeviceAllow ({limits})'))


def _expect_unit(result):
    facts = result['facts']
    return sum((_expect_limits(end, facts['limits'][end]) for end in ENDS), []) + expect_survived(result, moved=True) + failed(
        *(('READY=1' in facts['notified'][end], f'the {end} tells systemd that it is ready ({facts["notified"][end]!r})')
          for end in ENDS),
        *((facts['status'][end]['user'] == '65534' and facts['status'][end]['limited']
           and int(facts['status'][end]['bounding'], 16) < 1 << 30, f'the {end} is confined ({facts["status"][end]})')
          for end in ENDS),
        *((facts['tasks'][end] == 1, f'the {end} has one thread') for end in ENDS),
        *((facts['files'][end] == {'state': sorted([*_STATE_FILES, *['lab.boot'] * (end == 'server')]),
                                     'audit': ['lab.jsonl']},
           f'the {end}\'s default folders hold its files ({facts["files"][end]})') for end in ENDS))


def _unit(story, drop_ins=(), unit_file=None):
    """unit_file: one for both ends; its --daemon forks nothing where NOTIFY_SOCKET is answered (OpenVPN's own rule)."""
    pair, services = _pair_of_units(story, drop_ins, unit_file)
    streams = Streams(pair)
    pause(1, 'traffic both ways')
    watch, cut_at = story.watch(pair), now_ns()
    result = watch.result(cut_at, pair.network.rebind(pair.network.clients[0]), streams)
    if unit_file:
        result['facts']['run'] = {end: services[end].run_files() for end in ENDS}
    result['facts'] |= {
        'notified': {end: services[end].notified() for end in ENDS},
        'status': {end: services[end].status() for end in ENDS}, 'limits': {end: services[end].limits() for end in ENDS},
        'tasks': {end: tasks(end_of(pair, end)) for end in ENDS},
        'files': {end: {'state': sorted(name for name in os.listdir(end_of(pair, end).end.state) if 'mgmt' not in name),
                        'audit': os.listdir(os.path.dirname(end_of(pair, end).end.audit))} for end in ENDS}}
    return result


@scenario('a31-unit', 'both ends as Debian\'s units run them, user nobody; NAT rebinding (plugin only)', _expect_unit,
          attacks=('A31',))
def a31_unit(story):
    return _unit(story)


def _expect_daemon(result):
    facts = result['facts']
    return _expect_unit(result) + failed(
        *((facts['run'][end] == {'names': ['lab.pid', 'lab.status'], 'pid': True},
           f'the {end}\'s status file and its id, of the process that systemd has started ({facts["run"][end]})')
          for end in ENDS))


@scenario('a31-unit-daemon', 'the same as openvpn@.service runs them, with --daemon (plugin only)', _expect_daemon)
def a31_unit_daemon(story):
    return _unit(story, unit_file=_OLD_UNIT)


def _expect_strict(result):
    facts = result['facts']
    return _expect_unit(result) + failed(
        (facts['without']['status'] not in (None, 0), 'without the folders OpenVPN does not start'),
        (len(facts['without']['lines']) == 1 and '/var/lib/jumping' in facts['without']['lines'][0]
         and 'Read-only file system' in facts['without']['lines'][0],
         f'and one line names the folder ({facts["without"]["lines"]})'))


@scenario('a31-unit-strict', 'the same with ProtectSystem=strict and the drop-in of the examples (plugin only)',
          _expect_strict)
def a31_unit_strict(story):
    strict = f'{story.run.folder}/strict.conf'
    with open(strict, 'w', encoding='ascii') as file:
        file.write('[Service]\nProtectSystem=strict\n')
    alone = Pair(story.run, 'w', story.stage)
    _Service(alone, story.stage, 'client', (strict,))
    alone.clients[0].launch()
    without = {'status': alone.clients[0].process.wait(10), 'lines': alone.clients[0].said()}
    result = _unit(story, (strict, _DROP_IN))
    result['facts']['without'] = without
    return result


# What an administrator sees, who uses the management socket himself

_PORT = 7505
# One connection: the commands, one after the other; what comes back goes to stdout.
_ASK = """
import socket, sys, time
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)
s.settimeout(5)
for command in sys.argv[2:]:
    s.sendall((command + '\\n').encode())
    text = ''
    while not any(line.startswith(('END', 'SUCCESS', 'ERROR')) for line in text.splitlines()):
        more = s.recv(65536).decode()
        if not more:
            break
        text += more
    print(text)
"""


def _ask(pair, *commands):
    """The answers of the server's management socket, which is in its network namespace."""
    done = subprocess.run(['ip', 'netns', 'exec', pair.server.namespace, '/usr/bin/python3', '-c', _ASK, str(_PORT), *commands],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Fault(f'management: {done.stderr.strip()}')
    return done.stdout


def _shown(text):
    """{common name: address} of a status of version 2."""
    return dict(re.findall(r'^CLIENT_LIST,([^,]+),([^,]+),', text, re.M))


def _both_show(pair, status):
    """What the management socket and the status file say, once they say the same."""
    def look():
        with open(status, encoding='utf-8') as file:
            written, asked = _shown(file.read()), _shown(_ask(pair, 'status 2'))
        return asked if asked == written and asked else None
    return poll_until(look, 5, step=0.2)


def _expect_status(result):
    facts = result['facts']
    left, alias = facts['left'].removeprefix('udp '), (facts['after_newcomer'] or {}).get('client1', '')
    return failed(
        (any('management is in use by you' in line for line in facts['said']), 'the start says what the user\'s socket means'),
        (facts['before'] == {'client0': left}, f'the status shows where the client is ({facts["before"]})'),
        (facts['after_move'] == {'client0': left}, f'and after a move where it was born ({facts["after_move"]})'),
        (f"client 'client0' moved from udp {left} to {facts['moved_to']}" in ' '.join(facts['said']),
         f'the log has the move ({facts["said"]})'),
        (alias.startswith('240.') and (facts['after_newcomer'] or {}).get('client0') == left,
         f'a newcomer there has an alias ({facts["after_newcomer"]})'),
        (f"client 'client1' comes from udp {left}; OpenVPN shows it as udp {alias}" in ' '.join(facts['said']),
         f'the log has whose that is ({facts["said"]})'),
        ('SUCCESS' in facts['kill'], f'kill takes the address that is shown ({facts["kill"]!r})'),
        (facts['reason'] == ['host_terminated'], f'the killed session ended host_terminated ({facts["reason"]})'),
        (facts['reborn'], 'the killed client is back with a new session'),
        (facts['first_same'], 'the other client\'s session went on'),
        (f'ping-restart {facts["timer_s"]}' in facts['timers'], f'an instance has OpenVPN\'s own timer ({facts["timers"]})'))


@scenario('a31-status', 'management 127.0.0.1 and status file of the user: a move, a newcomer\'s alias, kill (plugin only)',
          _expect_status)
def a31_status(story):
    status = f'{story.run.folder}/status'
    pair = Pair(story.run, 'p', story.stage, on_clients=(True, True), server_lines=[
        f'management 127.0.0.1 {_PORT}', f'status {status} 1', 'status-version 2'])
    network, (first, second), places = pair.network, pair.clients, pair.network.clients
    pair.server.start()
    first.start()
    born = pair.attached(first)[1]
    facts = {'left': born['binding'], 'before': _both_show(pair, status),
             'timer_s': int(story.stage.policy_value('transport_lost_ttl_ms')) // 1000 + 60}
    streams = Streams(pair, first)
    network.rebind(places[0])
    moved = poll_until(lambda: (v := pair.is_attached(first)) and v[1]['binding'] != born['binding'] and v[1], 20)
    facts |= {'moved_to': moved and moved['binding'], 'after_move': _both_show(pair, status)}
    network.map_to(places[1], port=int(born['binding'].rpartition(':')[2]))
    second.start()
    killed = pair.attached(second)[1]['session_id']
    facts['after_newcomer'] = _both_show(pair, status)
    network.map_to(places[1])  # a NAT with one port has none for the socket that it will come back with
    facts['kill'] = _ask(pair, f'kill {(facts["after_newcomer"] or {}).get("client1", "nobody")}')
    facts['reborn'] = bool(poll_until(
        lambda: (v := pair.is_attached(second)) and v[0]['session_id'] != killed, 20, step=0.05))
    return {'figures': {}, 'facts': facts | {
        'reason': [why for _, new, why in changes(pair.server.end.events(), killed) if new == 'TERMINATED'],
        'first_same': bool(streams.wait_resumed(now_ns(), 10)) and pair.attached(first)[1]['session_id'] == born['session_id'],
        'said': pair.server.said(), 'timers': ' '.join(re.findall(r'Timers: [^\n]*', pair.server.log()))}}


def _expect_timer(result):
    facts = result['facts']
    return failed(
        (facts['reason'] == ['transport_ttl_exceeded'], f'the session ended by the TTL ({facts["reason"]})'),
        (list(facts['after_end']) == ['client0'],
         f'its instance is there after it ({facts["after_end"]})'),
        (facts['gone'], 'OpenVPN\'s own timer ended the instance'))


@scenario('a31-instance-timer', 'a client is killed; with the user\'s management its instance ends by OpenVPN\'s timer, 75 s; by hand',
          _expect_timer, variants=())
def a31_instance_timer(story):
    pair = story.pair(server_lines=[f'management 127.0.0.1 {_PORT}'],
                      policy={'recovery_window_ms': 8000, 'transport_lost_ttl_ms': 15000})
    session = pair.attached()[1]['session_id']
    killed_at = now_ns()
    pair.clients[0].kill()

    def reasons():
        return [why for _, new, why in changes(pair.server.end.events(), session) if new == 'TERMINATED']
    poll_until(reasons, 40)
    facts = {'reason': reasons(), 'after_end': _shown(_ask(pair, 'status 2'))}
    facts['gone'] = bool(poll_until(lambda: not _shown(_ask(pair, 'status 2')), 90, step=1))
    return {'figures': {'instance_gone_s': (now_ns() - killed_at) / 1e9}, 'facts': facts}


# Refused half-way

def _listing(pair):
    """Every file of the pair's folders except logs."""
    return sorted(os.path.relpath(f'{top}/{name}', pair.folder) for top, _, files in os.walk(pair.folder)
                  for name in files if '.state' in top or top.endswith('/run'))


def _refused(pair, label, line, **settings):
    """Start with other settings beside; what is there afterwards that was not before, and whether a lock is held."""
    for key, value in settings.items():
        line = re.sub(rf' {key}=\S+', '', line) + f' {key}={value}'
    before = _listing(pair)
    status, lines = pair.server.attempt(label, line, 5)
    held = []
    for top, _, files in os.walk(pair.folder):
        for lock in (file for file in files if file.endswith('.lock')):
            with open(f'{top}/{lock}', 'rb') as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.append(lock)
    return {'status': status, 'lines': lines, 'new': sorted(set(_listing(pair)) - set(before)), 'held': held}


def _expect_half_way(result):
    return sum((failed(
        (told['status'] not in (None, 0), f'{name}: OpenVPN ends ({told["status"]})'),
        (len(told['lines']) == 1, f'{name}: one line ({told["lines"]})'),
        (not told['held'], f'{name}: no lock is left ({told["held"]})'),
        (not [file for file in told['new'] if not re.search(r'\.(key|boot|audit\.key|audit\.head|lock)$', file)],
         f'{name}: no socket and no half-written file is left ({told["new"]})'))
        for name, told in result['facts']['refused'].items()), []) + failed(
            (result['facts']['starts'], 'with the mistake out of it the same name starts'))


@scenario('a31-half-way', 'opening fails at one step after the other: nothing is left behind (plugin only)', _expect_half_way)
def a31_half_way(story):
    pair = Pair(story.run, 'p', story.stage)
    line, folder = pair.server.end.line, pair.folder
    os.makedirs(f'{folder}/run', exist_ok=True)
    with open(f'{folder}/run/blocked.sock', 'w', encoding='ascii'):
        pass
    os.makedirs(f'{folder}/is-folder', exist_ok=True)
    wrong_key = f'{folder}/bad.state'
    os.mkdir(wrong_key, 0o700)
    with open(f'{wrong_key}/server.key', 'w', encoding='ascii') as file:
        file.write('short')
    refused = {
        'damaged key': _refused(pair, 'r0', line, state_dir=wrong_key),
        'audit is a folder': _refused(pair, 'r1', line, audit=f'{folder}/is-folder'),
        'no folder for the socket': _refused(pair, 'r2', line, run_dir=f'{folder}/nowhere/run'),
        'something in the socket\'s place': _refused(pair, 'r3', line, name='blocked'),
    }
    pair.start()
    return {'figures': {}, 'facts': {'refused': refused, 'starts': bool(pair.attached())}}
