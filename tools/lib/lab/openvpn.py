# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenVPN processes: their config files, their start and end, and what their logs say.

Owns config text and log patterns of OpenVPN 2.6 at verb 4. Knows nothing of how the network is
broken, nor what a scenario wants to see. Read next: streams.py.
"""
import json
import os
import re
import signal
from ipaddress import ip_network

from .network import SERVER, SERVER6, Network
from .pki import Authority
from .run import Fault, command, poll_until, wait_until

PORT = 1194
TUNNEL_SERVER = '10.8.0.1'
_PROTO = {4: 'udp4', 6: 'udp6', 'both': 'udp6'}

_UP = 'Initialization Sequence Completed'
# What Debian's service unit and its sample configuration make of a process, with a log we can read.
_DETACHED = ['daemon', 'user nobody', 'group nogroup']
_COMMON = ['dev tun0', 'dev-type tun', 'persist-key', 'persist-tun', 'verb 4']


def plugin_lines(log):
    """What the plugin said in a log, without OpenVPN's lines about it."""
    return re.findall(r'\bPLUGIN jumping: (.*)', log)


class Daemon:
    """One OpenVPN, startable more than once: all its lives write one log."""

    def __init__(self, run, name, namespace, folder, lines, end=None, detached=False, through=()):
        """detached: with `daemon`, as an unprivileged user, as a service would run it. through: a command that runs it."""
        self._run = run
        self.through = list(through)
        self.name = name
        self.namespace = namespace
        self.end = end  # the plugin's, or None
        self._log_name = f'{os.path.relpath(folder, run.folder)}-{name}.log'
        self._folder = folder
        self._pid_file = f'{folder}/{name}.pid' if detached else None
        self._lines = [*lines, *([*_DETACHED, f'log-append {run.folder}/{self._log_name}', f'writepid {self._pid_file}']
                                 if detached else [])]
        self.config = self._write_config(name, end.line if end else None)
        self.words = ['--config', self.config]  # of its command line; a scenario may put others in their place
        self.process = None

    def _write_config(self, name, plugin_line):
        path = f'{self._folder}/{name}.conf'
        with open(path, 'w', encoding='utf-8') as file:
            file.write('\n'.join([*self._lines, *([plugin_line] if plugin_line else []), '']))
        return path

    def launch(self):
        """Start it and do not wait for it to be up."""
        words = [*self.through, 'openvpn', *self.words]
        if self._pid_file:
            self.process = self._run.start_daemon(words, self._log_name, self._pid_file, self.namespace)
        else:
            self.process = self._run.start(words, self._log_name, self.namespace)

    def start(self, timeout=20):
        lives = self.lives()
        self.launch()
        wait_until(lambda: self.lives() > lives or not self.process.running(), timeout, f'{self.name} is up')
        if not self.process.running():
            raise Fault(f'{self.name}: OpenVPN ended with status {self.process.status()}')

    def lives(self):
        """How often it has come up: connected, tunnel and all."""
        return self.log().count(_UP)

    def attempt(self, name, plugin_line, timeout, through=()):
        """
        Start beside this one, under a name of its own, with another plugin line, to see whether it refuses.

        through: a command that runs it. Returns (its exit status or None if it had to be killed, the plugin's lines).
        """
        words = [*through, 'openvpn', '--config', self._write_config(name, plugin_line)]
        process = self._run.start(words, f'{name}.log', self.namespace)
        status = process.wait(timeout)
        if status is None:
            process.kill()
        return status, plugin_lines(process.log())

    def kill(self):
        """SIGKILL: no farewell to the peer, no state written."""
        self.process.signal(signal.SIGKILL)
        self.process.wait(4)

    def log(self):
        return self.process.log() if self.process else ''

    def handshakes(self):
        """TLS handshakes completed so far, renegotiations included."""
        return len(re.findall(r'Control Channel: TLSv', self.log()))

    def floats(self):
        """How often OpenVPN itself moved a client to another address."""
        return len(re.findall(r'\bfloated from\b', self.log()))

    def floats_refused(self):
        return len(re.findall(r'Disallow float', self.log()))

    def restarts(self):
        return len(re.findall(r'SIGUSR1\[', self.log()))

    def said(self):
        """The plugin's own lines."""
        return plugin_lines(self.log())

    def pushed(self):
        """The options of the newest PUSH_REPLY, those that differ between any two clients aside."""
        replies = re.findall(r"PUSH: Received control message: 'PUSH_REPLY,([^']*)'", self.log())
        if not replies:
            raise Fault(f'{self.name}: no PUSH_REPLY in its log')
        return [option for option in replies[-1].split(',') if not option.startswith(('peer-id ', 'ifconfig '))]

    def tunnel_address(self):
        devices = json.loads(command('ip', '-n', self.namespace, '-j', '-4', 'addr', 'show', 'dev', 'tun0'))
        return devices[0]['addr_info'][0]['local']


class Pair:
    """A network with one server and its clients. Several may be up at once, under different labels."""

    def __init__(self, run, label, stage=None, on_server=True, on_clients=(True,), keepalive=None, server_lines=(),
                 client_lines=(), remote=None, proto=None, detached=False, policy=None, server_settings=None,
                 family=4, subnet_bits=24, persist=True, through=(), **network):
        """
        stage: where the plugin is; None: bare. on_server, on_clients: who of them loads it.
        keepalive: None: "10 60" on the server, as is usual; "none": nowhere; else on both ends.
        client_lines: for every client. remote: lines in the place of the one `remote`. family: see Network; with
        'both' the server listens on one socket for both, and the clients go by IPv4. policy: see Stage.attach.
        server_settings: see Stage.attach. detached, through: see Daemon. subnet_bits: of the tunnel's network.
        persist: whether the files have persist-tun and persist-key.
        """
        self.run = run
        self.label = label
        self.network = Network(run, label, clients=len(on_clients), family=family, **network)
        self.folder = f'{run.folder}/{label}'
        os.makedirs(self.folder, mode=0o700)
        self._authority = Authority(f'{self.folder}/pki')
        self._common = [line for line in _COMMON if persist or not line.startswith('persist-')]
        both = [f'keepalive {keepalive}'] if keepalive not in (None, 'none') else []
        keep = both or ([] if keepalive == 'none' else ['keepalive 10 60'])
        listen = {4: [f'local {SERVER}'], 6: [f'local {SERVER6}']}.get(family, [])
        subnet = ip_network(f'10.8.0.0/{subnet_bits}')
        self.server = Daemon(
            run, 'server', self.network.server, self.folder,
            [*self._common, f'proto {proto or _PROTO[family]}', *listen, f'port {PORT}', 'topology subnet',
             f'server {subnet.network_address} {subnet.netmask}', 'dh none',
             *self._authority.issue('server', 'serverAuth'), *keep, *server_lines],
            stage.attach(self.folder, 'server', 'server', policy, server_settings) if stage and on_server else None,
            detached, through)
        self._call = [f'proto {proto or _PROTO[4 if family == "both" else family]}']
        self._client_lines = [*both, *client_lines]
        self.clients = [
            Daemon(run, f'client{i}', place.namespace, self.folder, self.client_config(
                f'client{i}', remote or [f'remote {SERVER6 if family == 6 else SERVER} {PORT}']),
                   stage.attach(self.folder, 'client', f'client{i}', policy) if stage and on_clients[i] else None,
                   detached, through)
            for i, place in enumerate(self.network.clients)]

    def client_config(self, common_name, remote):
        """The lines of a client's config file, with a certificate of this name."""
        return ['client', *self._common, *self._call, *remote, 'nobind', 'remote-cert-tls server',
                *self._authority.issue(common_name, 'clientAuth'), *self._client_lines]

    def start(self, waiting=0):
        """waiting: so many clients, the last ones, are left for later."""
        started = self.clients[:len(self.clients) - waiting]
        self.server.start()
        for client in started:
            client.start()
        for client in started:
            if client.end and self.server.end:
                self.attached(client)

    def shared_session(self, client=None):
        """(client's, server's) view of the client's session, or None as long as not both have it."""
        client = client or self.clients[0]
        mine = [s for s in client.end.sessions() if s['state'] != 'TERMINATED']
        if len(mine) != 1:
            return None
        theirs = [s for s in self.server.end.sessions() if s['session_id'] == mine[0]['session_id']]
        return (mine[0], theirs[0]) if theirs else None

    def is_attached(self, client=None):
        """The shared session if both ends say ATTACHED, else None."""
        views = self.shared_session(client)
        return views if views and all(view['state'] == 'ATTACHED' for view in views) else None

    def attached(self, client=None, timeout=10):
        """As is_attached, waiting for it: a Fault that names what each end says."""
        views = poll_until(lambda: self.is_attached(client), timeout, step=0.05)
        if not views:
            client = client or self.clients[0]
            said = {end.name: [(s['session_id'][:8], s['state']) for s in end.sessions()]
                    for end in (client.end, self.server.end)}
            raise Fault(f'not ATTACHED at both ends within {timeout} s: {said}')
        return views
