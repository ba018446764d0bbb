# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan processes: two real charons, their config files, their security associations, what their logs say.

Owns the texts of strongswan.conf and swanctl.conf, the private mounts a charon runs in, and log patterns of strongSwan
5.9.8. Knows nothing of how the network is broken, nor what a scenario wants to see. Read next: vici.py.

Every charon has a /run, a vici socket and settings of its own, so that several run on one machine. ESP is done in
userspace (plugin kernel-libipsec, device ipsec0) or, with kernel=True, by the kernel of the machine.
"""
import dataclasses
import ipaddress
import os
import re
import signal

from .network import SERVER, SERVER6, Network
from .pki import Authority
from .run import Fault, command, poll_until, wait_until
from .vici import Vici

CHARON = '/usr/lib/ipsec/charon'
PLUGINS = '/usr/lib/ipsec/plugins'
TUNNEL_SERVER = '10.8.0.1'
PORT, PORT_NAT = 500, 4500
# What stands before a message of ours: the marker that tells IKE from ESP, and an IKE header of a private exchange.
MARKER_BYTES, IKE_BYTES = 4, 28
EXCHANGES = range(241, 255)
_POOL = '10.9.0.0/16'
# Of a pair with sites: the nets behind the server and the client, in which each has the address that it has otherwise too.
_SITES = ('10.8.0.0/24', '10.9.0.0/24')
_SECRET = 'made for one run of the lab'
_SERVER_ID = 'server@lab'
# What a gateway or a road warrior needs, and nothing that looks at the rest of the machine.
_LOADED = ('random', 'nonce', 'openssl', 'x509', 'pubkey', 'pem', 'pkcs1', 'constraints', 'curve25519', 'kdf', 'drbg',
           'socket-default', 'kernel-netlink', 'vici', 'eap-identity', 'eap-md5', 'eap-mschapv2')
_UP = re.compile(r'\bIKE_SA \S+\[\d+\] established between\b')

# $1: the folder with the plugin, or nothing. ip netns exec has already made the mounts of this process private.
_ENTER = f'''
set -e
mount -t tmpfs -o mode=755 lab /run
if [ -n "$1" ]; then
    mkdir /run/own /run/all
    mount --bind {PLUGINS} /run/own
    ln -s /run/own/* /run/all/
    ln -sf "$1"/* /run/all/
    mount --bind /run/all {PLUGINS}
fi
shift
exec "$@"
'''


def installed():
    return os.path.exists(CHARON) and os.path.exists('/usr/sbin/swanctl')


def control_message(payload):
    """The message of the reattach protocol in a datagram to or from port 4500; None if it is anything else."""
    if len(payload) <= MARKER_BYTES + IKE_BYTES or payload[:MARKER_BYTES] != bytes(MARKER_BYTES):
        return None
    return payload[MARKER_BYTES + IKE_BYTES:] if payload[MARKER_BYTES + 18] in EXCHANGES else None


def memory_kib(charon):
    """What the process has in memory."""
    with open(f'/proc/{charon.process.pid}/status', encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))


def _text(table, indent=''):
    """A table as strongSwan's settings files have it."""
    lines = []
    for key, value in table.items():
        if isinstance(value, dict):
            lines += [f'{indent}{key} {{', _text(value, indent + '  '), f'{indent}}}']
        else:
            value = {True: 'yes', False: 'no'}.get(value, value) if isinstance(value, bool) else value
            lines.append(f'{indent}{key} = "{value}"')
    return '\n'.join(lines)


def _merged(table, more):
    """table with the values of more in it, section by section."""
    out = dict(table)
    for key, value in (more or {}).items():
        out[key] = _merged(out.get(key, {}), value) if isinstance(value, dict) else value
    return out


@dataclasses.dataclass(frozen=True)
class Child:
    name: str
    state: str
    spis: tuple      # (in, out)
    bytes_in: int
    bytes_out: int


@dataclasses.dataclass(frozen=True)
class Sa:
    """One IKE_SA as charon shows it."""
    name: str
    state: str
    version: int
    spis: tuple      # (initiator's, responder's)
    local: tuple     # (address, port)
    remote: tuple
    remote_id: str
    virtual: tuple   # the client's virtual addresses, whoever of the two we are
    children: tuple  # those that are installed

    @property
    def esp(self):
        return frozenset(child.spis for child in self.children)


def _sa(name, table):
    children = tuple(
        Child(child['name'], child['state'], (child.get('spi-in'), child.get('spi-out')),
              int(child.get('bytes-in', 0)), int(child.get('bytes-out', 0)))
        for child in table.get('child-sas', {}).values() if child['state'] in ('INSTALLED', 'UPDATING'))
    return Sa(name, table['state'], int(table['version']), (table['initiator-spi'], table['responder-spi']),
              (table['local-host'], int(table['local-port'])), (table['remote-host'], int(table['remote-port'])),
              table.get('remote-id', ''), tuple(table.get('local-vips', []) + table.get('remote-vips', [])), children)


class Charon:
    """One charon, startable more than once: all its lives write one log."""

    def __init__(self, run, name, namespace, folder, settings, swanctl, end=None, kernel=False, plugin=None,
                 program=CHARON, through=()):
        """settings: of strongswan.conf's section charon; swanctl: a whole swanctl.conf; plugin: the folder with ours."""
        self._run = run
        self.name = name
        self.namespace = namespace
        self.end = end  # the plugin's, or None
        self.folder = f'{folder}/{name}'
        self.program = program
        self.through = list(through)
        self._log_name = f'{os.path.relpath(folder, run.folder)}-{name}.log'
        self._plugin = plugin if end else None
        self._socket = f'{self.folder}/vici'
        for part in ('', '/private', '/x509', '/x509ca'):
            os.makedirs(self.folder + part, mode=0o700, exist_ok=True)
        self.settings = _merged(self._settings(kernel), settings)
        self.swanctl = swanctl
        self.write()
        self.process = None

    def _settings(self, kernel):
        plugins = {name: {'load': True} for name in _LOADED} | {'vici': {'load': True, 'socket': f'unix://{self._socket}'}}
        if not kernel:
            plugins['kernel-libipsec'] = {'load': True}
        if self.end:
            own = dict(self.end.arguments)
            own['audit_dir'] = os.path.dirname(own.pop('audit'))
            plugins['jumping'] = {'load': True, 'server': self.end.role == 'server', 'client': self.end.role == 'client'} | own
        level = {'default': 1, 'flush_line': True, 'time_format': '%H:%M:%S', 'time_add_ms': True}
        return {'load_modular': True, 'plugins': plugins, 'filelog': {'stderr': level}}

    def write(self):
        """Write both files from settings and swanctl, as after a change to them."""
        for name, table in (('strongswan.conf', {'charon': self.settings}), ('swanctl.conf', self.swanctl)):
            with open(f'{self.folder}/{name}', 'w', encoding='utf-8') as file:
                file.write(_text(table) + '\n')

    def launch(self):
        """Start it and do not wait for it to be up."""
        if os.path.exists(self._socket):
            os.unlink(self._socket)
        self.process = self._run.start(
            ['env', f'STRONGSWAN_CONF={self.folder}/strongswan.conf', 'sh', '-c', _ENTER, 'lab', self._plugin or '',
             *self.through, self.program], self._log_name, self.namespace)

    def start(self, timeout=20):
        """Start it and load its connections."""
        self.launch()
        wait_until(lambda: self.answers() or not self.process.running(), timeout, f'{self.name} answers')
        if not self.process.running():
            raise Fault(f'{self.name}: charon ended with status {self.process.status()}')
        self.load()

    def answers(self):
        try:
            with self.vici() as vici:
                return bool(vici.ask('version'))
        except Fault:
            return False

    def load(self):
        """swanctl --load-all; returns what it said."""
        return command('env', f'STRONGSWAN_CONF={self.folder}/strongswan.conf', f'SWANCTL_DIR={self.folder}', 'swanctl',
                       '--load-all', '--file', f'{self.folder}/swanctl.conf', '--uri', f'unix://{self._socket}')

    def vici(self, timeout=10):
        return Vici(self._socket, timeout)

    def ask(self, name, table=None, wait=10, event=None):
        """One command through vici: ask('rekey', {'ike': 'c0'}). A refusal is a Fault."""
        with self.vici(wait) as vici:
            answer = vici.ask(name, table, event)
        if not event and answer.get('success', 'yes') != 'yes':
            raise Fault(f'{self.name}: {name}: {answer.get("errmsg", answer)}')
        return answer

    def initiate(self, ike, child, timeout=20):
        self.ask('initiate', {'ike': ike, 'child': child, 'timeout': timeout * 1000}, timeout + 2)

    def sas(self):
        """The IKE_SAs it has now; none while its process is down."""
        try:
            events = self.ask('list-sas', event='list-sa')
        except Fault:
            return []
        return [_sa(name, table) for event in events for name, table in event.items()]

    def established(self):
        return [sa for sa in self.sas() if sa.state == 'ESTABLISHED']

    def kill(self):
        """SIGKILL: no farewell to the peer."""
        self.process.signal(signal.SIGKILL)
        self.process.wait(4)

    def log(self):
        return self.process.log() if self.process else ''

    def handshakes(self):
        """IKE_SAs established so far by an authentication; a rekeyed one is not counted."""
        return sum('(rekeying)' not in line for line in self._lines(_UP))

    def _lines(self, pattern):
        return [line for line in self.log().splitlines() if pattern.search(line)]

    def child_rekeyings(self):
        return len(re.findall(r'\bCHILD_SA \S+\{\d+\} (?:rekeyed|closed)\b|creating rekey job for CHILD_SA', self.log()))

    def said(self):
        """The plugin's own lines."""
        return re.findall(r'\] jumping: (.*)', self.log())

    def tunnel_address(self):
        """The inner address of the client's first IKE_SA."""
        return self._inner or next(sa.virtual[0] for sa in self.established() if sa.virtual)

    _inner = None


class Pair:
    """A network with one charon as the server and its clients. Several may be up at once, under different labels."""

    def __init__(self, run, label, stage=None, on_server=True, on_clients=(True,), auth='psk', children=1, encap=True,
                 mobike=True, dpd='30s', ike_rekey='4h', child_rekey='1h', virtual=True, version=2, connection=None,
                 child=None, settings=None, connections=1, kernel=False, family=4, policy=None, server_settings=None,
                 program=CHARON, through=(), sites=False, **network):
        """
        stage: where the plugin is; None: bare. on_server, on_clients: who of them loads it.
        auth: psk, cert, eap-md5 or eap-mschapv2. children: CHILD_SAs of each IKE_SA; connections: IKE_SAs of each
        client. dpd, ike_rekey, child_rekey: times as swanctl.conf has them, '0' for never. virtual: the client gets
        its inner address from the server's pool. connection, child, settings: more of a connection, of a CHILD_SA and
        of strongswan.conf's section charon, for every charon. sites: no virtual IP, and a host behind the server and one
        behind the client, in nets that are the traffic selectors. policy, server_settings: see Stage.attach.
        """
        self.run = run
        self.label = label
        self.network = Network(run, label, clients=len(on_clients), family=family, **network)
        self.folder = f'{run.folder}/{label}'
        os.makedirs(self.folder, mode=0o700)
        self.outer = SERVER6 if family == 6 else SERVER
        virtual = virtual and not sites
        self._sites = sites
        self._auth, self._virtual, self.connections, self.version = auth, virtual, connections, version
        self.children = [f'child{index}' for index in range(children)]
        self._child = _merged({'rekey_time': child_rekey}, child)
        self._connection = _merged({'version': version, 'encap': encap, 'mobike': mobike, 'dpd_delay': dpd,
                                    'rekey_time': ike_rekey}, connection)
        self._authority = Authority(f'{self.folder}/pki') if auth != 'psk' else None
        options = {'settings': settings, 'kernel': kernel, 'program': program, 'through': through,
                   'plugin': stage.folder if stage else None}
        for namespace in (self.network.server, *(client.namespace for client in self.network.clients)):
            self._prepare(namespace)
        self.network.ip(self.network.server, *(f'addr add {self.inner(index)}/32 dev lo' for index in range(children)))
        self.server = Charon(
            run, 'server', self.network.server, self.folder, swanctl=self._server(),
            end=stage.attach(self.folder, 'server', 'server', policy, server_settings) if stage and on_server else None,
            **options)
        self.clients = [
            Charon(run, f'client{i}', place.namespace, self.folder, swanctl=self._client(i),
                   end=stage.attach(self.folder, 'client', f'client{i}', policy) if stage and on_clients[i] else None,
                   **options)
            for i, place in enumerate(self.network.clients)]
        self._hand_out_keys()
        if not virtual:
            for i, client in enumerate(self.clients):
                client._inner = self._own(i)
                self.network.ip(client.namespace, f'addr add {client._inner}/32 dev lo')
        if sites:
            self.behind = [(self.network.add_behind(near, f'behind{end}', net.replace('0/24', '254'), net.replace('0/24', '2')),
                            net.replace('0/24', '2'))
                           for end, near, net in (('server', self.network.server, _SITES[0]),
                                                  ('client', self.clients[0].namespace, _SITES[1]))]

    @staticmethod
    def inner(index=0):
        """The server's inner address of the CHILD_SA of this number."""
        return str(ipaddress.ip_address(TUNNEL_SERVER) + index)

    @staticmethod
    def _own(index):
        return str(ipaddress.ip_network(_POOL)[index + 1])

    def _prepare(self, namespace):
        # Packets out of ipsec0 come from addresses that the routes lead elsewhere for.
        for which in ('all', 'default', 'lo'):
            self.network.write(namespace, f'net/ipv4/conf/{which}/rp_filter', 0)

    # Their files.

    def _server(self):
        remote = {'psk': {'auth': 'psk'}, 'cert': {'auth': 'pubkey', 'cacerts': f'{self.folder}/pki/ca.crt'}}.get(
            self._auth, {'auth': self._auth, 'eap_id': '%any'})
        children = {name: _merged({'local_ts': _SITES[0] if self._sites else f'{self.inner(i)}/32',
                                   'remote_ts': 'dynamic' if self._virtual else _SITES[1] if self._sites else _POOL}, self._child)
                    for i, name in enumerate(self.children)}
        return {'connections': {'lab': _merged(
            {'local_addrs': self.outer, 'local': self._identity('server'), 'remote': remote, 'children': children}
            | ({'pools': 'inner'} if self._virtual else {}), self._connection)},
                'secrets': self._secrets(), 'pools': {'inner': {'addrs': _POOL}}}

    def _client(self, index):
        names = self.names(index)
        return {'connections': {name: self._client_connection(index, name) for name in names},
                'secrets': self._secrets()}

    def _client_connection(self, index, name):
        server = {'auth': 'psk', 'id': _SERVER_ID} if self._auth == 'psk' else {
            'auth': 'pubkey', 'id': 'CN=server', 'cacerts': f'{self.folder}/pki/ca.crt'}
        children = {child: _merged({'remote_ts': _SITES[0] if self._sites else f'{self.inner(i)}/32', 'dpd_action': 'restart',
                                    'local_ts': 'dynamic' if self._virtual else _SITES[1] if self._sites else
                                    f'{self._own(index)}/32'}, self._child)
                    for i, child in enumerate(self.children)}
        return _merged({'remote_addrs': self.outer, 'local': self._identity(name), 'remote': server, 'keyingtries': 0,
                        'children': children} | ({'vips': '0.0.0.0'} if self._virtual else {}), self._connection)

    def names(self, index=0):
        """The connections of a client; the identity in each begins with its name."""
        return [f'client{index}'] if self.connections == 1 else [f'c{index}n{n}' for n in range(self.connections)]

    def identity(self, client):
        """How the server knows the client's first connection."""
        name = self.names(self.clients.index(client))[0]
        return f'CN={name}' if self._auth == 'cert' else f'{name}@lab'

    def _identity(self, name):
        if self._auth == 'psk':
            return {'auth': 'psk', 'id': f'{name}@lab'}
        if self._auth == 'cert' or name == 'server':
            return {'auth': 'pubkey', 'id': f'CN={name}', 'certs': f'{self.folder}/pki/{name}.crt'}
        return {'auth': 'eap', 'eap_id': f'{name}@lab', 'id': f'{name}@lab'}

    def _secrets(self):
        if self._auth == 'psk':
            return {'ike-lab': {'secret': _SECRET}}
        if self._auth == 'cert':
            return {}
        users = [name for index in range(len(self.network.clients)) for name in self.names(index)]
        return {f'eap-{name}': {'id': f'{name}@lab', 'secret': _SECRET} for name in users}

    def _hand_out_keys(self):
        """Certificates where this authentication wants them; swanctl takes keys from a folder of the charon's own."""
        if not self._authority:
            return
        holders = [(self.server, 'server', 'serverAuth')]
        if self._auth == 'cert':
            holders += [(client, name, 'clientAuth') for i, client in enumerate(self.clients) for name in self.names(i)]
        for charon, name, usage in holders:
            self._authority.issue(name, usage)
            os.symlink(f'{self.folder}/pki/{name}.key', f'{charon.folder}/private/{name}.key')
        for charon in (self.server, *self.clients):
            os.symlink(f'{self.folder}/pki/ca.crt', f'{charon.folder}/x509ca/ca.crt')

    # Their life.

    def start(self, waiting=0):
        """waiting: so many clients, the last ones, are left for later."""
        self.server.start()
        for client in self.clients[:len(self.clients) - waiting]:
            client.start()
            self.connect(client)
            # IKEv1 has no sessions; of many IKE_SAs of one client the scenario knows more.
            if client.end and self.server.end and self.version == 2 and self.connections == 1:
                self.attached(client)

    def connect(self, client):
        """Bring up all connections of a client with all their children."""
        for name in self.names(self.clients.index(client)):
            for child in self.children:
                client.initiate(name, child)

    @staticmethod
    def routes(namespace):
        """The routes that charon has installed for its CHILD_SAs."""
        # No such table is as good as none in it.
        return command('ip', '-n', namespace, 'route', 'show', 'table', '220', check=False).splitlines()

    def sa(self, client=None):
        """The client's established IKE_SA as it sees it itself, or None; of several the first."""
        return next(iter((client or self.clients[0]).established()), None)

    def shared(self, client=None):
        """(client's, server's) view of the client's IKE_SA, or None as long as not both have it established."""
        mine = self.sa(client)
        theirs = [sa for sa in self.server.established() if mine and sa.spis == mine.spis]
        return (mine, theirs[0]) if theirs else None

    def shared_session(self, client=None):
        """(client's, server's) view of the plugin's session, or None as long as not both have it."""
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
