# SPDX-License-Identifier: GPL-2.0-or-later
"""A network that can be broken on purpose: clients - router with NAT - wire with delay - server.

Owns the namespaces, addresses, NAT mappings and the wire of one label. No way leads out of it.
Knows nothing of OpenVPN: ports and packets are the caller's. Read next: openvpn.py.

    client 0   up0 192.168.10.2 ---- lan00 router wan ---- wire (netdelay) ---- eth0 server
               up1 192.168.11.2 ---- lan01   203.0.113.1              203.0.113.2
    client 1   up0 192.168.20.2 ---- lan10

The same with IPv6 where it is asked for: 2001:db8:10::2, ... and 2001:db8:ffff::1, ::2.
"""
import contextlib
import fcntl
import functools
import os
import socket
import subprocess

from . import oldrules, uml
from .run import REPOSITORY, Fault, command, now_ns, poll_until, wait_until

SERVER = '203.0.113.2'
ROUTER = '203.0.113.1'
SERVER6 = '2001:db8:ffff::2'
ROUTER6 = '2001:db8:ffff::1'
ROUTER_MAC = '02:00:00:00:00:01'
SERVER_MAC = '02:00:00:00:00:02'
# The one port of the router's own address that is not dropped: the attacker of captured-packet.
ATTACKER_PORT = 5555

_HERE = os.path.dirname(os.path.abspath(__file__))


def lab_program(name):
    """The path of a program of the lab's own; built first if it is missing or older than its source."""
    program, source = f'{REPOSITORY}/build/lab/{name}', os.path.join(os.path.dirname(_HERE), f'{name}.c')
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(program), exist_ok=True)
        fresh = f'{program}.{os.getpid()}'
        command('cc', '-std=c11', '-O2', '-Wall', '-Wextra', '-o', fresh, source)
        os.replace(fresh, program)  # another run may be doing the same
    return program


_BITS = {4: 24, 6: 64}


def _family(address):
    return 6 if ':' in address else 4


class Wire:
    """The delay between router and server: a netdelay process and its control socket."""

    def __init__(self, run, label, namespace, near, far, words):
        self._path = f'{run.folder}/{label}.wire'
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f'{run.folder}/{label}.steer')
        self._socket.settimeout(2)
        run.defer(self._socket.close)
        process = run.start([lab_program('netdelay'), near, far, self._path, *words], f'{label}-wire.log', namespace)
        wait_until(lambda: os.path.exists(self._path) or not process.running(), 5, 'netdelay is ready')
        self.set()

    def set(self, **words):
        """set(hole='on'), set(delay=50, loss=2): in force when this returns. Returns the counters."""
        try:
            self._socket.sendto(' '.join(f'{key}={value}' for key, value in words.items()).encode(), self._path)
            answer = self._socket.recv(256).decode()
        except OSError as error:
            raise Fault(f'netdelay does not answer: {error}') from None
        if not answer.startswith('ok'):
            raise Fault(f'netdelay: {answer}')
        return answer


class Client:
    """Where one client is: its namespace, and the addresses of each uplink."""

    def __init__(self, index, namespace, uplinks):
        self.index = index
        self.namespace = namespace
        self.subnets = [10 * (index + 1) + uplink for uplink in range(uplinks)]
        self.ports = 20000 + 2000 * index  # the first port of its NAT range
        self.mapped = None  # (address, port) that the NAT is told to use instead, either may be None

    @property
    def addresses(self):
        return [f'192.168.{subnet}.2' for subnet in self.subnets]

    @property
    def addresses6(self):
        return [f'2001:db8:{subnet}::2' for subnet in self.subnets]


class Network:
    def __init__(self, run, label, clients=1, uplinks=1, nat=True, delay_ms=10, family=4):
        """delay_ms: each way; None: no wire, the fastest path there is. family: 4, 6 or 'both'."""
        self.run = run
        self.label = label
        self._nat = nat
        self._v4, self._v6 = family != 6, family != 4
        self._muted = set()
        self.router = self._namespace('router')
        self.server = self._namespace('server')
        self.wire = self._connect_server(delay_ms)
        self.clients = [self._add_client(index, uplinks) for index in range(clients)]
        self.write(self.router, 'net/ipv4/ip_forward', 1)
        if self._v6:
            self.write(self.router, 'net/ipv6/conf/all/forwarding', 1)
        if not nat:
            self.ip(self.server, *[f'route add 192.168.0.0/16 via {ROUTER}'] * self._v4,
                     *[f'route add 2001:db8::/32 via {ROUTER6}'] * self._v6)
        self._load_rules()

    # What can be done to it. Each returns the instant from which on it holds.

    def rebind(self, client):
        """A new NAT mapping for this client; the old one is dead in both directions."""
        client.ports += 500 if client.ports % 1000 < 500 else -500
        self._load_rules()
        self._forget_mappings(client)
        return now_ns()

    def add_uplink(self, client, metric):
        """A further interface of this client, with a default route of this metric. Returns its number."""
        client.subnets.append(10 * (client.index + 1) + len(client.subnets))
        self._connect_uplink(client, len(client.subnets) - 1, metric)
        return len(client.subnets) - 1

    def route_to_server(self, client, uplink):
        """Whether this client has a route of the server's own through the uplink, as a VPN makes around its tunnel."""
        routes = command('ip', '-n', client.namespace, *['-6'] * (not self._v4), 'route', 'show', 'exact',
                         SERVER if self._v4 else SERVER6, 'dev', f'up{uplink}')
        return bool(routes.strip())

    def add_behind(self, namespace, role, gateway, address):
        """One more host, which reaches everything through this namespace. Returns its own."""
        behind = self._namespace(role)
        self._veth(namespace, 'site', behind, 'eth0')
        self.ip(namespace, f'addr add {gateway}/24 dev site')
        self.write(namespace, 'net/ipv4/ip_forward', 1)
        self.ip(behind, f'addr add {address}/24 dev eth0', f'route add default via {gateway}')
        return behind

    def publish(self, address):
        """An address that is reached through the server only, as one of the Internet behind a VPN."""
        self.ip(self.server, f'addr add {address}/32 dev lo')

    def change_address(self, client, uplink=0, lost=False):
        """
        The client moves to another subnet on the same link, as from one Wi-Fi to the next. lost: it has already lost
        its address.
        """
        old = client.subnets[uplink]
        new = client.subnets[uplink] = old + (5 if old % 10 < 5 else -5)
        gone = [] if lost else [f'addr del {address} dev up{uplink}' for address, _ in self._places(old)]
        self.ip(client.namespace, *gone, *self._place(new, uplink, 'replace'))
        return now_ns()

    def uplink_down(self, client, uplink=0):
        """The link goes and its routes with it; the default route of the next uplink takes over."""
        self.ip(client.namespace, f'link set up{uplink} down')
        return now_ns()

    def uplink_up(self, client, uplink=0):
        """What went by uplink_down, lose_address or lose_gateway is back."""
        self.ip(client.namespace, f'link set up{uplink} up')
        # As DHCP would, only once the link carries: an ARP request that is lost costs a second of the kernel's.
        show = ('ip', '-n', self.router, 'link', 'show', f'lan{client.index}{uplink}')
        wait_until(lambda: 'state UP' in command(*show), 5, f'up{uplink} carries')
        self.ip(client.namespace, *self._place(client.subnets[uplink], uplink, 'replace'))
        return now_ns()

    def lose_address(self, client, uplink=0, only=None):
        """The uplink's addresses go, as when a lease ends; only: 4 or 6, of this family."""
        self.ip(client.namespace, *(f'addr del {address} dev up{uplink}' for address, gateway
                                     in self._places(client.subnets[uplink]) if only in (None, _family(gateway))))
        return now_ns()

    def lose_gateway(self, client, uplink=0, only=None):
        """The uplink's default routes go; link and addresses stay. only: 4 or 6, of this family."""
        self.ip(client.namespace, *(f'route del default via {gateway} dev up{uplink}' for _, gateway
                                     in self._places(client.subnets[uplink]) if only in (None, _family(gateway))))
        return now_ns()

    def silence_uplink(self, client, uplink=0, on=True):
        """Nothing passes through this uplink any more, and nobody says so. on=False: it is back."""
        lan = f'lan{client.index}{uplink}'
        rules = {f'iifname "{lan}" drop', f'oifname "{lan}" drop'}
        self._muted = self._muted | rules if on else self._muted - rules
        self._load_rules()
        return now_ns()

    def hole(self, on):
        self.wire.set(hole='on' if on else 'off')
        return now_ns()

    def mute(self, client, port, opcodes):
        """Drop the client's datagrams to this port whose first byte's upper five bits are an opcode given."""
        wanted = ', '.join(str(opcode) for opcode in opcodes)
        self._muted.add(f'iifname "lan{client.index}0" udp dport {port} @th,64,5 {{ {wanted} }} drop')
        self._load_rules()
        return now_ns()

    def block(self, *matches):
        """Drop what the router forwards and one of these matches of nft fits; until unmute."""
        self._muted |= {f'{match} drop' for match in matches}
        self._load_rules()
        return now_ns()

    def start_nat(self):
        """There was none; now there is, and like most it knows nothing but TCP, UDP and ICMP."""
        self._nat = True
        return self.block('meta l4proto esp')

    def map_to(self, client, address=None, port=None):
        """The NAT gives the client's packets this address and port from now on; None: as before."""
        client.mapped = (address, port) if address or port else None
        self._load_rules()
        self._forget_mappings(client)
        return now_ns()

    def take_mapping(self, taker, giver, port):
        """At one instant: the giver, who had this port, has the next one, and the taker has it."""
        giver.mapped, taker.mapped = (None, port + 1), (None, port)
        self._load_rules()
        for client in (giver, taker):  # in this order: a port is not given out twice
            self._forget_mappings(client)
        return now_ns()

    def add_public(self, address):
        """One more address on the WAN beside the router's own: another NAT, or somebody who stands there."""
        self.ip(self.router, f'addr add {address}/24 dev wan')
        self.ip(self.server, f'neigh replace {address} lladdr {ROUTER_MAC} dev eth0 nud permanent')
        return address

    def unmute(self):
        self._muted.clear()
        self._load_rules()
        return now_ns()

    # How it is built.

    def _namespace(self, role):
        name = f'{self.run.tag}-{self.label}{role}'
        # Two first uses of "ip netns" at the same time mount /run/netns twice, and lose one.
        with open('/run/lock/jumping-lab', 'w', encoding='ascii') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command('ip', 'netns', 'add', name)
        self.run.defer(self._remove_namespace, name)
        # IPv6 makes a silent client's kernel talk: router solicitations, multicast reports. So it is there
        # only where it is asked for, and a tun has no address that the kernel makes itself.
        for which in ('all', 'default'):
            if self._v6:
                for key, value in (('addr_gen_mode', 1), ('accept_ra', 0), ('accept_dad', 0)):
                    self.write(name, f'net/ipv6/conf/{which}/{key}', value)
            else:
                self.write(name, f'net/ipv6/conf/{which}/disable_ipv6', 1)
        self.ip(name, 'link set lo up')
        return name

    @staticmethod
    def _remove_namespace(name):
        # Only what the run started can be in there; a helper of OpenVPN's may outlive it a moment.
        poll_until(lambda: not command('ip', 'netns', 'pids', name).strip(), 2)
        command('ip', 'netns', 'del', name)

    def _connect_server(self, delay_ms):
        if delay_ms is None:
            self._veth(self.router, 'wan', self.server, 'eth0')
            wire = None
        else:
            # The wire's two ends are in a namespace of their own, so that no kernel answers on them.
            between = self._namespace('wire')
            self._veth(self.router, 'wan', between, 'near')
            self._veth(self.server, 'eth0', between, 'far')
            wire = Wire(self.run, self.label, between, 'near', 'far', [f'delay={delay_ms}'])
        # Fixed neighbours: a hole is far away in the world, and must not take ARP with it here. Both ends
        # would queue packets for it meanwhile, and wait up to a second for it when the path is back.
        for namespace, device, mac, own, peer_mac, peer in (
                (self.router, 'wan', ROUTER_MAC, (ROUTER, ROUTER6), SERVER_MAC, (SERVER, SERVER6)),
                (self.server, 'eth0', SERVER_MAC, (SERVER, SERVER6), ROUTER_MAC, (ROUTER, ROUTER6))):
            lines = [f'link set {device} address {mac}']
            for wanted, bits, mine, theirs in ((self._v4, 24, own[0], peer[0]), (self._v6, 64, own[1], peer[1])):
                lines += [f'addr add {mine}/{bits} dev {device}',
                          f'neigh replace {theirs} lladdr {peer_mac} dev {device} nud permanent'] if wanted else []
            self.ip(namespace, *lines)
        return wire

    def _add_client(self, index, uplinks):
        client = Client(index, self._namespace(f'client{index}'), uplinks)
        for uplink in range(uplinks):
            self._connect_uplink(client, uplink)
        return client

    def _connect_uplink(self, client, uplink, metric=None):
        lan, subnet = f'lan{client.index}{uplink}', client.subnets[uplink]
        self._veth(self.router, lan, client.namespace, f'up{uplink}')
        # The second address is the gateway of the subnet that change_address moves to.
        self.ip(self.router, *(f'addr add {gateway}/{_BITS[_family(gateway)]} dev {lan}'
                                for each in (subnet, subnet + 5) for _, gateway in self._places(each)))
        self.ip(client.namespace, *self._place(subnet, uplink, 'add', metric))

    def _places(self, subnet):
        """(address with its bits, gateway) of a client's end of a subnet, for each family in use."""
        return [*[(f'192.168.{subnet}.2/24', f'192.168.{subnet}.1')] * self._v4,
                *[(f'2001:db8:{subnet}::2/64', f'2001:db8:{subnet}::1')] * self._v6]

    def _place(self, subnet, uplink, verb, metric=None):
        return [line for address, gateway in self._places(subnet) for line in (
            f'addr {verb} {address} dev up{uplink}',
            f'route {verb} default via {gateway} dev up{uplink} metric {metric or 100 * (uplink + 1)}')]

    def _veth(self, namespace, device, peer_namespace, peer):
        self.ip(namespace, f'link add {device} type veth peer name {peer} netns {peer_namespace}')
        for where, end in ((namespace, device), (peer_namespace, peer)):
            # Neighbours are not found again without a link-local address; a tun does not need one.
            self.ip(where, *[f'link set {end} addrgenmode eui64'] * self._v6, f'link set {end} up')

    @staticmethod
    def _mapping(client, family):
        ports = f'{client.ports}-{client.ports + 499}'
        address, port = client.mapped or (None, None)
        if address is None:
            return f'masquerade to :{port or ports}'
        if (':' in address) != (family == 'ip6'):
            return f'masquerade to :{ports}'
        return f'snat to {f"[{address}]" if family == "ip6" else address}:{port or ports}'

    def _forget_mappings(self, client):
        # Packets follow the old mapping for as long as its entry lives, whatever the rules say.
        for family, sources in (*[('ipv4', client.addresses)] * self._v4, *[('ipv6', client.addresses6)] * self._v6):
            for source in sources:
                # Status 1 says that there was none: an uplink may be unused.
                self.inside(self.router, 'conntrack', '-D', '-f', family, '-p', 'udp', '-s', source, check=False)

    def _load_rules(self):
        """The router's whole rule set at once: nft takes all of it or nothing, and says so."""
        text = []
        for family, wanted, source in (('ip', self._v4, '192.168.{0}.0-192.168.{1}.255'),
                                       ('ip6', self._v6, '2001:db8:{0}::-2001:db8:{1}:ffff:ffff:ffff:ffff:ffff')):
            if uml.without_nft():
                ranges = [(c, *source.format(10 * (c.index + 1), 10 * (c.index + 1) + 9).split('-')) for c in self.clients]
                if wanted:
                    oldrules.load(functools.partial(self.inside, self.router), 6 if family == 'ip6' else 4,
                                  ranges if self._nat else [], self._muted, ATTACKER_PORT)
                continue
            masquerade = [f'{family} saddr {source.format(10 * (c.index + 1), 10 * (c.index + 1) + 9)} oifname "wan" '
                          f'meta l4proto {{ tcp, udp }} {self._mapping(c, family)}'
                          for c in self.clients] + ['oifname "wan" masquerade'] if self._nat else []
            # Without a mapping the router itself is addressed. A NAT is silent then; a kernel with no
            # socket there would answer port unreachable and wake the server.
            own = [f'iifname "wan" udp dport {ATTACKER_PORT} accept', 'iifname "wan" meta l4proto { tcp, udp } drop']
            chains = (('postrouting', 'nat', 100, masquerade), ('input', 'filter', 0, own),
                      ('forward', 'filter', 0, sorted(self._muted)))
            table = [f'table {family} lab', f'delete table {family} lab', f'table {family} lab {{']
            for name, kind, priority, rules in chains:
                table += [f'chain {name} {{ type {kind} hook {name} priority {priority};', *rules, '}']
            text += [*table, '}'] if wanted else []
        if text:
            self.inside(self.router, 'nft', '-f', '-', stdin='\n'.join([*text, '']))

    def inside(self, namespace, *words, **options):
        return command('ip', 'netns', 'exec', namespace, *words, **options)

    def write(self, namespace, key, value):
        self.inside(namespace, 'sh', '-c', f'echo {value} > /proc/sys/{key}')

    @staticmethod
    def ip(namespace, *lines):
        command('ip', '-n', namespace, '-batch', '-', stdin='\n'.join(lines) + '\n')

    def ping(self, namespace, address, count=1, timeout=2):
        """How many of count echo requests were answered."""
        done = subprocess.run(['ip', 'netns', 'exec', namespace, 'ping', '-n', '-q', '-i', '0.2', '-c', str(count),
                               '-W', str(timeout), address], capture_output=True, text=True, check=False)
        with contextlib.suppress(StopIteration, ValueError, IndexError):
            line = next(line for line in done.stdout.splitlines() if 'received' in line)
            return int(line.split(',')[1].split()[0])
        raise Fault(f'ping: {done.stderr.strip() or done.stdout.strip()}')


class Crowd:
    """Many clients on one LAN of a network's router, behind one NAT. IPv4."""

    def __init__(self, network, count):
        self._network = network
        self._ports = 30000
        self.server = SERVER
        self.namespaces = [f'{network.run.tag}-{network.label}c{index}' for index in range(count)]
        lines = ['link add lan type bridge', 'link set lan up', 'addr add 10.20.0.1/16 dev lan']
        for index, name in enumerate(self.namespaces):
            command('ip', 'netns', 'add', name)
            network.run.defer(command, 'ip', 'netns', 'del', name)
            lines += [f'link add m{index} type veth peer name up0 netns {name}', f'link set m{index} master lan up']
        network.ip(network.router, *lines)
        for index, name in enumerate(self.namespaces):
            network.write(name, 'net/ipv6/conf/default/disable_ipv6', 1)
            network.ip(name, 'link set lo up', f'addr add 10.20.{1 + index // 250}.{1 + index % 250}/16 dev up0',
                       'link set up0 up', 'route add default via 10.20.0.1')
        self._load()

    def rebind(self):
        """Every client gets another mapping, and the old ones are dead."""
        self._ports = 30000 if self._ports != 30000 else 45000
        self._load()
        self._network.inside(self._network.router, 'conntrack', '-D', '-p', 'udp')
        return now_ns()

    def _load(self):
        self._network.inside(self._network.router, 'nft', '-f', '-', stdin=(
            'table ip crowd\ndelete table ip crowd\ntable ip crowd {\nchain postrouting {\n'
            'type nat hook postrouting priority 99;\n'
            f'ip saddr 10.20.0.0/16 oifname "wan" meta l4proto udp '
            f'masquerade to :{self._ports}-{self._ports + 14999}\n}}\n}}\n'))
