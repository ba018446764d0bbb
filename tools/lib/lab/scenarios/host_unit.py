# SPDX-License-Identifier: GPL-2.0-or-later
"""A31: under Debian's systemd units, and what an administrator sees: management socket, refusals without remains.

systemd itself does not run in the lab. What the installed unit files set is read from them and applied by what systemd
uses too: mount namespaces, resource limits, the capability bounding set, NOTIFY_SOCKET. Read next: neighbours.py.
"""
import fcntl
import os
import re
import shlex
import shutil
import socket
import subprocess

from ..network import REPOSITORY
from ..openvpn import Pair
from ..run import Fault, now_ns, poll_until, say
from ..story import changes, expect_survived, failed, pause, scenario
from ..streams import Streams
from .host_life import ENDS, end_of, tasks

_UNITS = '/lib/systemd/system/openvpn-{}@.service'
_DROP_IN = f'{REPOSITORY}/plugins/openvpn/examples/systemd-strict.conf'
_KNOWN = {'Type', 'PrivateTmp', 'WorkingDirectory', 'ExecStart', 'CapabilityBoundingSet', 'LimitNPROC', 'DeviceAllow',
          'ProtectSystem', 'ProtectHome', 'KillMode', 'RestartSec', 'Restart', 'StateDirectory', 'StateDirectoryMode',
          'RuntimeDirectory', 'RuntimeDirectoryMode', 'RuntimeDirectoryPreserve', 'LogsDirectory', 'LogsDirectoryMode',
          'ReadWritePaths'}
_STATE_FILES = ('lab.audit.head', 'lab.audit.key', 'lab.key', 'lab.lock')
# Everything in the mount namespace that `ip netns exec` has made: nothing of it reaches the machine.
_PREPARE = '''set -e
for folder in /var/lib /var/log /run; do mount -t tmpfs -o mode=755 tmpfs $folder; done
mkdir -p /run/openvpn-server /run/notify "$CONFIG"
mount --bind "$NOTIFY" /run/notify
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


def _script(unit, folder):
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
    lines.append(f'cd {folder}')
    lines.append(' '.join(['exec', 'env', 'NOTIFY_SOCKET=/run/notify/socket', *limit, 'setpriv',
                           f'--bounding-set={bounding}', '"$@"']))
    return '\n'.join(lines)


class _Service:
    """One end of a pair, run as its unit would run it, with the plugin's own folders."""

    def __init__(self, pair, stage, end, drop_ins=(), settings=''):
        self._daemon = daemon = end_of(pair, end)
        unit = _read_unit(_UNITS.format(end), *drop_ins)
        folder = unit['WorkingDirectory'][-1]
        source, notify = f'{pair.folder}/{end}-etc', f'{pair.folder}/{end}-notify'
        shutil.copytree(f'{pair.folder}/pki', source)
        os.mkdir(notify)
        shutil.copy(stage.plugin, f'{source}/openvpn-plugin-jumping.so')
        shutil.copy(stage.policy(), f'{source}/mobile.ini')
        with open(daemon.config, encoding='utf-8') as file:
            lines = [line.replace(f'{pair.folder}/pki/', '') for line in file.read().splitlines()
                     if not line.startswith('plugin ')]
        lines += ['user nobody', 'group nogroup',
                  f'plugin {folder}/openvpn-plugin-jumping.so {end} policy={folder}/mobile.ini{settings}']
        with open(f'{source}/lab.conf', 'w', encoding='utf-8') as file:
            file.write('\n'.join([*lines, '']))
        command = shlex.split(unit['ExecStart'][-1].replace('%t', '/run').replace('%i', 'lab'))
        daemon.words = command[1:]
        daemon.through = ['env', f'CONFIG={folder}', f'SOURCE={source}', f'NOTIFY={notify}', 'sh', '-c',
                          _script(unit, folder), 'sh']
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
        """Of the process: its user, its bounding set, its limit of processes."""
        pid = self._daemon.process.pid
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            lines = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
        with open(f'/proc/{pid}/limits', encoding='ascii') as file:
            limit = next(line.split()[2] for line in file if line.startswith('Max processes'))
        return {'user': lines['Uid'].split()[1], 'bounding': lines['CapBnd'], 'processes': limit}


def _pair_of_units(story, drop_ins=()):
    pair = Pair(story.run, 'p', story.stage)
    services = {end: _Service(pair, story.stage, end, drop_ins) for end in ENDS}
    for end in ('server', 'client'):
        say(f'  starting the {end} as its unit does')
        end_of(pair, end).start()
        services[end].started()
    pair.attached()
    return pair, services


def _expect_unit(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        *(('READY=1' in facts['notified'][end], f'the {end} tells systemd that it is ready ({facts["notified"][end]!r})')
          for end in ENDS),
        *((facts['status'][end]['user'] == '65534' and facts['status'][end]['processes'] == '10'
           and int(facts['status'][end]['bounding'], 16) < 1 << 30, f'the {end} is confined ({facts["status"][end]})')
          for end in ENDS),
        *((facts['tasks'][end] == 1, f'the {end} has one thread') for end in ENDS),
        *((facts['files'][end] == {'state': sorted([*_STATE_FILES, *['lab.boot'] * (end == 'server')]),
                                     'audit': ['lab.jsonl']},
           f'the {end}\'s default folders hold its files ({facts["files"][end]})') for end in ENDS))


def _unit(story, drop_ins=()):
    pair, services = _pair_of_units(story, drop_ins)
    streams = Streams(pair)
    pause(1, 'traffic both ways')
    watch, cut_at = story.watch(pair), now_ns()
    result = watch.result(cut_at, pair.network.rebind(pair.network.clients[0]), streams)
    result['facts'] |= {
        'notified': {end: services[end].notified() for end in ENDS},
        'status': {end: services[end].status() for end in ENDS}, 'tasks': {end: tasks(end_of(pair, end)) for end in ENDS},
        'files': {end: {'state': sorted(name for name in os.listdir(end_of(pair, end).end.state) if 'mgmt' not in name),
                        'audit': os.listdir(os.path.dirname(end_of(pair, end).end.audit))} for end in ENDS}}
    return result


@scenario('a31-unit', 'both ends as Debian\'s units run them, user nobody; NAT rebinding (plugin only)', _expect_unit)
def a31_unit(story):
    return _unit(story)


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
