# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed plugin of one host as seen from outside: its settings, its sessions, its audit log.

Owns the paths of the staged install tree and how to ask jumpctl. Knows nothing of the plugin's
inside, nor of networks. Read next: openvpn.py, which adds the line to a config file.
"""
import fcntl
import json
import os
import subprocess

from .run import REPOSITORY, Fault

_PLUGINS = {'openvpn': 'usr/lib/x86_64-linux-gnu/openvpn/plugins/openvpn-plugin-jumping.so',
            'strongswan': 'usr/lib/ipsec/plugins/libstrongswan-jumping.so'}
# Where tools/build takes it from; with it there is a plugin for strongSwan in every stage.
_STRONGSWAN_SOURCE = f'{REPOSITORY}/build/strongswan/config.h'
# OpenVPN refuses longer option lines.
_LINE_CHARACTERS = 255


class Stage:
    """A tree made by tools/build --destdir, reached through short paths in the run's folder."""

    @staticmethod
    def must_hold_plugin(tree, host='openvpn'):
        if not os.path.exists(f'{tree}/{_PLUGINS[host]}'):
            raise Fault(f'no plugin for {host} in {tree}: run  tools/build --destdir {tree}  first, or use --bare')

    @staticmethod
    def without_plugin(tree, host):
        """Why there can be no plugin for this host in the tree that does its work; None if there must be one."""
        if host == 'strongswan' and not os.path.exists(_STRONGSWAN_SOURCE):
            return 'not built, since strongSwan\'s source is not there (tools/strongswan-source)'
        path = f'{tree}/{_PLUGINS[host]}'
        if os.path.exists(path):
            with open(path, 'rb') as file:
                if b'does nothing yet' in file.read():  # its own words, as long as they are true
                    return 'the plugin says that it does nothing yet'
        return None

    def __init__(self, run, tree, policy='mobile', host='openvpn'):
        self.must_hold_plugin(tree, host)
        self.plugin = f'{run.folder}/jumping.so'
        self.folder = os.path.dirname(f'{tree}/{_PLUGINS[host]}')
        self.jumpctl = f'{tree}/usr/bin/jumpctl'
        self._policy = f'{run.folder}/policy/{policy}.ini'
        if not os.path.exists(self.plugin):
            os.symlink(f'{tree}/{_PLUGINS[host]}', self.plugin)
            os.symlink(f'{tree}/usr/share/jumping/policy', f'{run.folder}/policy')
        if not os.path.exists(self._policy):
            raise Fault(f'no policy {policy} in {tree}/usr/share/jumping/policy')

    def policy_check(self, path):
        """jumpctl policy check: (exit status, what it printed)."""
        done = subprocess.run([self.jumpctl, 'policy', 'check', path], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def policy(self, profile=None):
        """The path of an installed policy; default: the one of this run."""
        return f'{os.path.dirname(self._policy)}/{profile}.ini' if profile else self._policy

    def policy_value(self, key):
        """The text of one value of this run's policy."""
        with open(self._policy, encoding='utf-8') as file:
            return next(line.split('=')[1].strip() for line in file if line.startswith(f'{key} ='))

    def attach(self, folder, role, name, changes=None, settings=None):
        """
        A new End for a process of the host, of this role and name. changes: values of the policy that differ, by
        key. settings: arguments of the plugin's line or section, beside the usual ones or in their place.
        """
        policy = self._policy
        if changes:
            policy = f'{folder}/policy.ini'
            self._write_policy(policy, changes)
        return End(self, folder, role, name, policy, settings or {})

    def _write_policy(self, path, changes):
        """A copy of this run's policy with other values: {'transport_lost_ttl_ms': 15000}."""
        with open(self._policy, encoding='utf-8') as file:
            lines = file.read().splitlines()
        for key, value in changes.items():
            if not any(line.startswith(f'{key} =') for line in lines):
                raise Fault(f'{self._policy} has no {key}')
            lines = [f'{key} = {value}' if line.startswith(f'{key} =') else line for line in lines]
        with open(path, 'w', encoding='utf-8') as file:
            file.write('\n'.join([*lines, '']))


class End:
    """The plugin in one process of its host."""

    def __init__(self, stage, folder, role, name, policy, settings):
        self._stage = stage
        self.name = name
        self.audit = settings.get('audit', f'{folder}/{name}.jsonl')
        self.run_dir = f'{folder}/run'
        self.state = f'{folder}/{name}.state'
        for path in (self.run_dir, self.state):
            os.makedirs(path, mode=0o700, exist_ok=True)
        self.arguments = {'policy': policy, 'name': name, 'state_dir': self.state, 'run_dir': self.run_dir,
                          'audit': self.audit} | settings
        self.role = role

    @property
    def line(self):
        """The line of an OpenVPN config file."""
        line = ' '.join([f'plugin {self._stage.plugin} {self.role}',
                         *(f'{key}={value}' for key, value in self.arguments.items())])
        if len(line) > _LINE_CHARACTERS:
            raise Fault(f'longer than {_LINE_CHARACTERS} characters: {line}')
        return line

    def jumpctl(self, *words):
        """jumpctl with these words: (exit status, all it printed)."""
        done = subprocess.run([self._stage.jumpctl, *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def terminate(self, session_id):
        """As an operator would."""
        return self.jumpctl('terminate', session_id, '--socket', f'{self.run_dir}/{self.name}.sock')

    def stats(self):
        """All counters, by group; empty while its process is down."""
        status, said = self.jumpctl('stats', '--socket', f'{self.run_dir}/{self.name}.sock')
        return json.loads(said)['instances'][0] if status == 0 else {}

    def counters(self):
        """The counters of the core and of the data path in one table; empty while its process is down."""
        instance = self.stats()
        return instance.get('stats', {}) | instance.get('map', {})

    def sessions(self):
        """The sessions the plugin has now; none while its process is down."""
        done = subprocess.run([self._stage.jumpctl, 'sessions', '--json', '--socket',
                               f'{self.run_dir}/{self.name}.sock'], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return []
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError as error:
            raise Fault(f'jumpctl sessions --json: {error}: {done.stdout[:200]!r}') from None
        return [session for instance in answer['instances'] for session in instance['sessions']]

    def verify(self):
        """jumpctl audit verify on the log as it is: (exit status, what it said)."""
        done = subprocess.run([self._stage.jumpctl, 'audit', 'verify', '--state', self.state, '--name', self.name,
                               self.audit], capture_output=True, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()

    def left_behind(self):
        """Once its process is gone: sockets in the run folder, half-written files, and whether its lock is still held."""
        left = [name for name in os.listdir(self.run_dir) if name.startswith(f'{self.name}.')]
        left += [name for name in os.listdir(self.state) if name.endswith(('.sock', '.tmp', '.new'))]
        with open(f'{self.state}/{self.name}.lock', 'rb') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                left.append('lock')
        return left

    def events(self, since_ns=0):
        """The audit log's records from this instant on; a line still being written is left out."""
        try:
            with open(self.audit, encoding='utf-8') as file:
                lines = file.read().split('\n')[:-1]
        except FileNotFoundError:
            return []
        try:
            records = [json.loads(line) for line in lines if line]
        except json.JSONDecodeError as error:
            raise Fault(f'{self.audit}: {error}') from None
        return [record for record in records if record.get('mono_ns', 0) >= since_ns]


def changes(events, session_id=None):
    """The state changes among audit records, in order: (previous, new, reason)."""
    return [(e.get('previous_state'), e.get('new_state'), e.get('reason_code')) for e in events
            if e.get('event_type') == 'SessionStateChange' and session_id in (None, e.get('session_id'))]
