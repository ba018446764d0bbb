# SPDX-License-Identifier: GPL-2.0-or-later
"""Under real systemd, as Debian packages it: both ends are started, moved, restarted, reloaded and stopped by it.

It runs in a machine of the lab's own, where the staged tree is installed at its real places, the configuration is in
/etc/openvpn and each unit gets its network namespace by a drop-in. host_unit.py has the same settings without systemd.
Read next: ../uml.py.
"""
import json
import os
import shutil
import subprocess

from .. import uml
from ..openvpn import Pair, plugin_lines
from ..run import REPOSITORY, Fault, command, now_ns, poll_until, say
from ..story import expect_survived, failed, pause, scenario
from ..streams import Streams

# By the end: the unit's name, the configuration's folder, its name.
_UNITS = {'server': ('openvpn-server@office', '/etc/openvpn/server', 'office'),
          'client': ('openvpn-client@laptop', '/etc/openvpn/client', 'laptop')}
_OLD_UNITS = {'server': ('openvpn@office', '/etc/openvpn', 'office'), 'client': ('openvpn@laptop', '/etc/openvpn', 'laptop')}
_DROP_IN = f'{REPOSITORY}/plugins/openvpn/examples/systemd-strict.conf'
_SETTINGS = ('ProtectSystem', 'PrivateTmp', 'ProtectHome', 'LimitNPROC', 'TasksMax', 'TasksCurrent', 'DevicePolicy',
             'CapabilityBoundingSet')


def _systemctl(*words):
    done = subprocess.run(['systemctl', *words], capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def _must(*words):
    status, said = _systemctl(*words)
    if status != 0:
        raise Fault(f'systemctl {" ".join(words)}: status {status}: {said}')


def _write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


class _Unit:
    """One end of a pair as a unit of systemd. In the place of the process of a Daemon, whose log is the journal then."""

    def __init__(self, pair, end, units, drop_ins=(), user='nobody'):
        self.name, folder, config = units[end]
        self._config = f'{folder}/{config}.conf'
        self._daemon = {'client': pair.clients[0], 'server': pair.server}[end]
        self.since = command('date', '+%s.%N').strip()
        with open(self._daemon.config, encoding='utf-8') as file:
            lines = [line.replace(f'{pair.folder}/pki/', f'{folder}/{config}/') for line in file.read().splitlines()
                     if not line.startswith('plugin ')]
        shutil.copytree(f'{pair.folder}/pki', f'{folder}/{config}')
        lines += [*['user nobody', 'group nogroup'] * (user == 'nobody'), f'plugin openvpn-plugin-jumping.so {end}']
        _write(self._config, '\n'.join([*lines, '']))
        self._places = f'/run/systemd/system/{self.name}.service.d'
        os.makedirs(self._places)
        # systemd forgets how a unit ended that nothing refers to.
        self.target = f'lab-{self.name}.target'
        _write(f'/run/systemd/system/{self.target}', f'[Unit]\nAfter={self.name}.service\n')
        self.set(f'[Service]\nNetworkNamespacePath=/run/netns/{self._daemon.namespace}\n', *drop_ins)
        self._daemon.process = self
        self._daemon.launch = self.launch
        end_of_plugin = self._daemon.end
        end_of_plugin.name = config
        end_of_plugin.run_dir, end_of_plugin.state = '/run/jumping', '/var/lib/jumping'
        end_of_plugin.audit = f'/var/log/jumping/{config}.jsonl'

    def set(self, *drop_ins):
        """These texts are the newest drop-ins of the unit, beside those it has; in force after daemon-reload."""
        for text in drop_ins:
            _write(f'{self._places}/{len(os.listdir(self._places))}.conf', text)

    # What a Daemon asks its process for.

    def launch(self):
        lives = self._daemon.lives()
        _systemctl('start', self.name)
        # Daemon.start waits too, but asks so often that the machine would be busy with answering.
        poll_until(lambda: self._daemon.lives() > lives or not self.running(), 20, step=0.3)

    def running(self):
        return self.show()['ActiveState'] in ('active', 'activating')

    def status(self):
        return int(self.show()['ExecMainStatus'])

    def log(self):
        return command('journalctl', '-q', '-o', 'cat', '--since', f'@{self.since}', '-u', self.name)

    # What this scenario asks.

    def show(self):
        text = command('systemctl', 'show', self.name)
        return dict(line.split('=', 1) for line in text.splitlines() if '=' in line)

    def settings(self):
        """What systemd holds of the unit's settings, and what the kernel holds of its process."""
        shown = self.show()
        with open(f'/proc/{shown["MainPID"]}/status', encoding='ascii') as file:
            lines = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
        group = f'/sys/fs/cgroup{shown["ControlGroup"]}'
        # Another process in the unit's group may open what the unit's DeviceAllow has, and nothing else.
        allowed = subprocess.run(['sh', '-c', 'echo 0 > "$1"/cgroup.procs && exec 3<>/dev/net/tun && ! (exec 4</dev/kmsg)',
                                  'sh', group], capture_output=True, text=True, check=False)
        return {**{key: shown.get(key) for key in _SETTINGS}, 'user': lines['Uid'].split()[1],
                'bounding': int(lines['CapBnd'], 16) < 1 << 30, 'devices': allowed.returncode == 0 or allowed.stderr}

    def end(self):
        """How the process last ended, as systemd tells it."""
        shown = self.show()
        return {key: shown[key] for key in ('ActiveState', 'Result', 'ExecMainCode', 'ExecMainStatus', 'NRestarts')}


def _install(tree):
    """The staged tree, as the package would put it: this root is gone with the machine."""
    shutil.copytree(tree, '/', dirs_exist_ok=True, symlinks=True)


def _in_machine(story, name):
    words = ['openvpn', name, '--json', '--stage', story.options.stage, '--policy', story.options.policy]
    say('  booting a machine with systemd')
    done = uml.again(story.run, 240, words, systemd=True)
    try:
        return json.loads(done.out)
    except json.JSONDecodeError:
        raise Fault(f'no result from the machine (status {done.status}): {done.out[-500:]}') from None


def _ends(pair, units, drop_ins=(), user='nobody'):
    ends = {end: _Unit(pair, end, units, drop_ins, user) for end in ('server', 'client')}
    _must('daemon-reload')
    _must('start', *(unit.target for unit in ends.values()))
    return ends


def _again(pair, unit, *words):
    """systemctl WORDS UNIT while the session is up: its status and words, whether another session is ATTACHED then."""
    before = pair.attached()[0]['session_id']
    said = _systemctl(*words, unit.name)
    views = poll_until(lambda: (found := pair.is_attached()) and found[0]['session_id'] != before and found, 30, step=0.4)
    return {'said': said, 'attached': bool(views), 'unit': unit.end()}


def _stopped(ends):
    return {end: {'said': _systemctl('stop', unit.name), **unit.end()} for end, unit in reversed(ends.items())}


def _journal(ends):
    return {end: plugin_lines(unit.log()) for end, unit in ends.items()}


def _health():
    """What systemd and the journal say of the whole machine."""
    journal = command('journalctl', '-q', '-b', '-o', 'cat')
    return {'failed_units': _systemctl('list-units', '--failed', '--no-legend', '--plain')[1],
            'core_dumps': [line for line in journal.splitlines() if 'dumped core' in line or 'code=dumped' in line]}


def _expect_stopped(facts):
    return sum((failed(
        (told['said'][0] == 0, f'the {end} stops ({told["said"]})'),
        ((told['ActiveState'], told['Result'], told['ExecMainCode'], told['ExecMainStatus']) == ('inactive', 'success', '1', '0'),
         f'the {end} ended by itself with status 0 ({told})'),
        (told['NRestarts'] == '0', f'the {end} never had to be restarted ({told["NRestarts"]})'),
        (facts['journal'][end], f'the journal has the {end}\'s lines of the plugin'))
        for end, told in facts['stopped'].items()), []) + failed(
            (not facts['health']['failed_units'], f'no unit has failed ({facts["health"]["failed_units"]})'),
            (not facts['health']['core_dumps'], f'there is no core dump ({facts["health"]["core_dumps"]})'))


def _expect_again(what, told):
    return failed(
        (told['said'][0] == 0, f'systemctl {what} succeeds ({told["said"]})'),
        (told['attached'], f'a new session is ATTACHED after systemctl {what}'),
        (told['unit']['ActiveState'] == 'active' and told['unit']['Result'] == 'success',
         f'the unit is well after systemctl {what} ({told["unit"]})'))


def _expect_confined(settings, protect, user, **more):
    """more: settings of systemd with the values that they must have."""
    wanted = {'ProtectSystem': protect, 'PrivateTmp': 'yes', 'ProtectHome': 'yes', **more}
    return sum((failed(
        ({key: told[key] for key in wanted} == wanted, f'systemd applies the {end}\'s settings ({told})'),
        (told['TasksCurrent'] == '1', f'the {end} has one thread ({told["TasksCurrent"]})'),
        (told['user'] == user and told['bounding'], f'the {end} is confined ({told})'),
        (told['devices'] is True, f'the {end} may open the devices of its DeviceAllow only ({told["devices"]})'))
        for end, told in settings.items()), [])


def _expect(result):
    facts = result['facts']
    return expect_survived(result, moved=True) + failed(
        (facts['address'] == {'same': True, 'moved': True, 'handshakes': 0},
         f'the session outlives a change of address too ({facts["address"]})')) + _expect_confined(
             facts['settings'], 'yes', '65534', LimitNPROC='10') + _expect_again('restart', facts['restart']) + (
                 _expect_stopped(facts))


@scenario('host-systemd', 'openvpn-server@ and openvpn-client@ under real systemd: moves, restart, stop (plugin only)', _expect)
def host_systemd(story):
    if not uml.inside():
        return _in_machine(story, 'host-systemd')
    _install(story.options.stage)
    pair = Pair(story.run, 'p', story.stage)
    ends = _ends(pair, _UNITS)
    pair.start()
    streams = Streams(pair)
    pause(1, 'traffic both ways')
    client = pair.network.clients[0]
    watch, cut_at = story.watch(pair), now_ns()
    result = watch.result(cut_at, pair.network.rebind(client), streams)
    watch, cut_at = story.watch(pair), now_ns()
    moved = watch.result(cut_at, pair.network.change_address(client), streams)
    session = moved['session']
    result['facts'] |= {
        'address': {'same': session['same'], 'moved': (session['generation_after'] or 0) > session['generation_before'],
                    'handshakes': moved['facts']['handshakes']},
        'settings': {end: unit.settings() for end, unit in ends.items()}}
    result['facts'] |= {'restart': _again(pair, ends['client'], 'restart'), 'stopped': _stopped(ends)}
    result['facts'] |= {'journal': _journal(ends), 'health': _health()}
    return result


def _expect_units(result):
    facts = result['facts']
    without = facts['without']
    return failed(
        (without['status'] != 0, 'without the drop-in the unit does not start'),
        (len(without['lines']) == 1 and '/var/lib/jumping' in without['lines'][0]
         and 'Read-only file system' in without['lines'][0], f'and one line names the folder ({without["lines"]})')) + (
            _expect_confined(facts['settings'], 'strict', '0', LimitNPROC='10')
            + _expect_confined(facts['old']['settings'], 'yes', '65534', TasksMax='10')
            + sum((_expect_again(f'kill -s HUP of the {end}', told) for end, told in facts['reloaded'].items()), [])
            + _expect_stopped(facts) + _expect_stopped(facts['old']) + expect_survived(result, moved=True))


_RELOAD = ('kill', '-s', 'HUP', '--kill-whom=main')


@scenario('host-systemd-units', 'real systemd: ProtectSystem=strict without and with the drop-in of the examples, SIGHUP, '
          'openvpn@ (plugin only)', _expect_units)
def host_systemd_units(story):
    if not uml.inside():
        return _in_machine(story, 'host-systemd-units')
    _install(story.options.stage)
    strict = '[Service]\nProtectSystem=strict\nRestart=no\n'
    pair = Pair(story.run, 'p', story.stage)
    ends = _ends(pair, _UNITS, (strict,), user='root')
    server = ends['server']
    server.launch()
    without = {'status': _systemctl('is-active', server.name)[0], 'lines': plugin_lines(server.log())}
    _systemctl('stop', server.name)
    _must('reset-failed', server.name)
    with open(_DROP_IN, encoding='utf-8') as file:
        drop_in = file.read()
    for unit in ends.values():
        unit.set(drop_in)
    _must('daemon-reload')
    pair.start()
    facts = {'without': without, 'settings': {end: unit.settings() for end, unit in ends.items()}}
    # As root: docs/openvpn.md says what becomes of `user nobody`.
    facts['reloaded'] = {end: _again(pair, unit, *_RELOAD) for end, unit in ends.items()}
    facts |= {'stopped': _stopped(ends), 'journal': _journal(ends)}
    ends = _ends(pair, _OLD_UNITS)
    pair.start()
    streams = Streams(pair)
    pause(1, 'traffic both ways')
    watch, cut_at = story.watch(pair), now_ns()
    result = watch.result(cut_at, pair.network.rebind(pair.network.clients[0]), streams)
    settings = {end: unit.settings() for end, unit in ends.items()}
    facts['old'] = {'settings': settings, 'stopped': _stopped(ends), 'journal': _journal(ends), 'health': _health()}
    result['facts'] |= facts | {'health': facts['old']['health']}
    return result
