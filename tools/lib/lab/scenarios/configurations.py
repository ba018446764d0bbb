# SPDX-License-Identifier: GPL-2.0-or-later
"""One pair for each kind of OpenVPN configuration: does the plugin work in it, and does it say what it cannot do?

A table. Each configuration starts a pair, is ATTACHED, carries traffic, outlives a NAT rebinding and stops; what is
particular to one is a function of its own. Several run side by side. Read next: moves.py.
"""
import concurrent.futures
import copy
import dataclasses
import os
import re
import socket
import time

from ..network import ROUTER, SERVER, SERVER6, lab_program
from ..openvpn import PORT, TUNNEL_SERVER, Daemon, Pair
from ..run import Fault, command, now_ns, poll_until, say, wait_until
from ..story import expect_survived, failed, scenario
from ..streams import Streams

# Mostly they wait; more at a time would make a machine of two cores the thing that is tested.
_AT_ONCE = 5
# Longer than the birth window of the shipped policies, 10 s, which must not begin before the user is authorised.
_SLOW_S = 13
_START_S = 60


@dataclasses.dataclass
class Configuration:
    """{folder} in a line or a file is the pair's folder. drop: the lab's own lines that must go, by their beginning."""
    server: tuple = ()
    client: tuple = ()
    pair: dict = dataclasses.field(default_factory=dict)
    drop: tuple = ()
    files: dict = dataclasses.field(default_factory=dict)   # name: content, executable
    keys: tuple = ()                                        # words after openvpn --genkey
    prepare: object = None     # (pair): before anything is started
    begin: object = None       # (pair, client): start the client otherwise than by start()
    course: object = None      # (story, pair) -> sentences that do not hold, instead of the common one
    after: object = None       # (pair) -> sentences, after the move
    stopped: object = None     # (pair) -> sentences, when the clients have ended and the server has not
    said: tuple = ()           # (end, words): the plugin says so at start
    start: bool = True         # False: the course starts everything itself


CONFIGURATIONS = {}


def _add(name, **words):
    CONFIGURATIONS[name] = Configuration(**words)


# Little things that many need.

def _rewrite(daemon, change):
    """Change a config file that is not in use yet: change(lines) -> lines."""
    with open(daemon.config, encoding='utf-8') as file:
        lines = file.read().splitlines()
    with open(daemon.config, 'w', encoding='utf-8') as file:
        file.write('\n'.join([*change(lines), '']))


def _live(end):
    return [s for s in end.sessions() if s['state'] != 'TERMINATED']


def _text(path):
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read()


def _has_file(path, *words):
    return os.path.exists(path) and all(word in _text(path) for word in words)


def _route(pair, destination):
    return destination in command('ip', '-n', pair.clients[0].namespace, 'route', 'show', 'dev', 'tun0')


def _reborn(pair, old, what, client=None, timeout=25):
    """A new session is ATTACHED in the place of the old one."""
    client = client or pair.clients[0]
    new = poll_until(lambda: (views := pair.is_attached(client)) and views[0]['session_id'] != old and views, timeout, 0.1)
    return failed((bool(new), f'a new session is ATTACHED {what}'))


def _reasons(end, session_id):
    return [e.get('reason_code') for e in end.events() if e.get('session_id') == session_id
            and e.get('event_type') == 'SessionTerminated']


def _ended(pair, session_id, server_says, client_says):
    """Both ends' records of a session's end, with these reasons."""
    wanted = ((pair.server.end, server_says), (pair.clients[0].end, client_says))
    wrong = []
    for end, reason in wanted:
        found = poll_until(lambda end=end: _reasons(end, session_id), 8, 0.1)
        wrong += failed((found == [reason], f'the session ends {reason} at {end.name} ({found})'))
    return wrong


class Person:
    """Somebody at a management socket: reads lines, answers some of them."""

    def __init__(self, path, timeout=10):
        self._socket = socket.socket(socket.AF_UNIX)
        # There, but not listened at yet, is a state too.
        wait_until(lambda: self._socket.connect_ex(path) == 0, timeout, f'somebody listens at {path}')
        self._text = ''

    def wait(self, pattern, timeout=15):
        """Read until a line matches. Returns the match."""
        end = time.monotonic() + timeout
        while not (found := re.search(pattern, self._text)):
            self._socket.settimeout(max(0.1, end - time.monotonic()))
            try:
                more = self._socket.recv(65536).decode(errors='replace')
            except OSError:
                more = ''
            if not more:
                raise Fault(f'management: no {pattern!r} but {self._text[-300:]!r}')
            self._text += more
        self._text = self._text[found.end():]
        return found

    def say(self, line):
        self._socket.sendall((line + '\n').encode())


# The common course.

def _move(story, pair, client, streams, limit=20):
    """One NAT rebinding of one client: what does not hold."""
    watch = story.watch(pair, client)
    cut_at = now_ns()
    place = next(place for place in pair.network.clients if place.namespace == client.namespace)
    return watch.result(cut_at, pair.network.rebind(place), streams, limit=limit, settle=0.3)


def _stop(pair, entry):
    """The clients end first; the server's plugin must know at once."""
    wrong = []
    for client in pair.clients:
        status = client.process.stop(8)
        wrong += failed((status == 0, f'{client.name} ends with status 0 on SIGTERM ({status})'))
    gone = poll_until(lambda: not _live(pair.server.end), 5, 0.1)
    wrong += failed((gone, 'the server has no session any more when the clients have stopped'))
    if entry.stopped:
        wrong += entry.stopped(pair)
    status = pair.server.process.stop(8)
    return wrong + failed((status == 0, f'the server ends with status 0 on SIGTERM ({status})'))


def _common(story, pair, entry):
    wrong, streams = [], {client.name: Streams(pair, client) for client in pair.clients}
    time.sleep(0.5)
    for client in pair.clients:
        told = _move(story, pair, client, streams[client.name])
        prefix = f'{client.name}: ' if len(pair.clients) > 1 else ''
        wrong += [prefix + sentence for sentence in expect_survived(told, moved=True)]
    if entry.after:
        wrong += entry.after(pair)
    return wrong


def _build(story, label, entry):
    folder = f'{story.run.folder}/{label}'

    def fill(lines):
        return [line.replace('{folder}', folder) for line in lines]

    arguments = {'keepalive': story.options.keepalive} | entry.pair
    if 'remote' in arguments:
        arguments['remote'] = fill(arguments['remote'])
    pair = Pair(story.run, label, story.stage, server_lines=fill(entry.server), client_lines=fill(entry.client),
                **arguments)
    for name, content in entry.files.items():
        path = f'{folder}/{name}'
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(content.replace('{folder}', folder))
        os.chmod(path, 0o755)
    for words in entry.keys:
        command('openvpn', *fill(words))
    for daemon in (pair.server, *pair.clients):
        _rewrite(daemon, lambda lines: [line for line in lines if not line.startswith(entry.drop)] if entry.drop else lines)
    if entry.prepare:
        entry.prepare(pair)
    return pair


def _begin(pair, entry):
    pair.server.start()
    for client in pair.clients:
        if entry.begin:
            entry.begin(pair, client)
        else:
            client.start(_START_S)
    for client in pair.clients:
        pair.attached(client, 20)


def _said(pair, entry):
    lines = {'server': pair.server.said(), 'client': pair.clients[0].said()}
    wanted = (*entry.said, ('server', 'disable-dco'), ('client', 'disable-dco'))
    return failed(*((any(words in line for line in lines[end]), f'the {end} says at start: {words} ({lines[end]})')
                    for end, words in wanted))


def _tell(story, number, name):
    entry = CONFIGURATIONS[name]
    say(f'  {name}')
    begun, pair = time.monotonic(), None
    try:
        pair = _build(story, f'c{number}', entry)
        if entry.start:
            _begin(pair, entry)
        wrong = _said(pair, entry) if entry.start else []
        wrong += entry.course(story, pair) if entry.course else _common(story, pair, entry)
        if all(daemon.process.running() for daemon in (pair.server, *pair.clients)):
            wrong += _stop(pair, entry)
    except (Fault, OSError) as fault:
        wrong = [str(fault)]
    for daemon in (pair.server, *pair.clients) if wrong and pair else ():
        if daemon.process:
            lines = daemon.log().splitlines()[-12:]
            say('\n'.join([f'--- {name}: {daemon.name}', *lines]))
    return {'held': not wrong, 'took': round(time.monotonic() - begun, 1), 'wrong': wrong}


def _expect(result):
    return [f'{name}: {sentence}' for name, told in result['facts'].items() for sentence in told['wrong']]


@scenario('configurations', 'each kind of configuration: ATTACHED, moved, ended; what cannot work is said (plugin only)',
          _expect, attacks=('A19 --only cloned-credentials,cloned-credentials-bare,duplicate-cn',))
def configurations(story):
    if not story.stage:
        raise Fault('configurations is about the plugin: not with --bare')
    wanted = (story.options.only or ','.join(CONFIGURATIONS)).split(',')
    if unknown := [name for name in wanted if name not in CONFIGURATIONS]:
        raise Fault(f'no such configuration: {", ".join(unknown)}; there are {", ".join(CONFIGURATIONS)}')
    # Those with a long wait in them first, so that none of them is left over at the end.
    wanted.sort(key=lambda name: name not in _LONG)
    lab_program('netdelay')  # built once, before several ask for it
    told = {}
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = {name: pool.submit(_tell, story, number, name) for number, name in enumerate(wanted)}
        try:
            told = {name: future.result() for name, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {'figures': {'configurations': len(told)}, 'facts': told}


# The table. First what is around the tunnel: addresses, sockets, ways to name the server.

_add('ipv4')
_add('ipv6', pair={'family': 6})
_add('dual-stack', pair={'family': 'both'})
_add('proto-udp', pair={'family': 'both', 'proto': 'udp'})


def _second_address(pair):
    command('ip', '-n', pair.network.server, 'addr', 'add', '203.0.113.3/24', 'dev', 'eth0')


_add('multihome', server=('multihome',), drop=(f'local {SERVER}',), pair={'remote': [f'remote 203.0.113.3 {PORT}']},
     prepare=_second_address)
_add('multihome-ipv6', server=('multihome',), drop=(f'local {SERVER6}',), pair={'family': 6})
_add('remote-list', client=('connect-timeout 3',),
     pair={'remote': [f'remote {ROUTER} {PORT}', f'remote {SERVER} {PORT}']})
_add('remote-random', client=('connect-timeout 3', 'remote-random', 'resolv-retry infinite', 'connect-retry 1 5'),
     pair={'remote': [f'remote {SERVER} {PORT}', f'remote {SERVER} {PORT} udp4', f'remote {ROUTER} {PORT}']})
_add('connection-blocks', pair={'remote': [
    '<connection>', f'remote {ROUTER} {PORT}', 'connect-timeout 3', 'explicit-exit-notify 1', '</connection>',
    '<connection>', f'remote {SERVER} {PORT} udp4', '</connection>']}, said=(('client', 'connect-timeout stays'),))
_BOUND = ('client', 'local holds on every network')
_add('client-port', client=('bind', 'lport 4711'), drop=('nobind',), said=(_BOUND,))
_add('client-address', client=('local 192.168.10.2', 'bind'), drop=('nobind',), said=(_BOUND,))
_add('socket-options', server=('fast-io', 'sndbuf 300000', 'rcvbuf 300000', 'passtos', 'mtu-disc yes'),
     client=('fast-io', 'sndbuf 300000', 'rcvbuf 300000', 'passtos', 'mark 7', 'mtu-disc maybe'))
_add('bind-dev', client=('bind-dev up0',), said=(('client', 'bind-dev'),))
_add('float', server=('float',), client=('float',))

# What is inside of it.
_add('redirect-gateway', client=('redirect-gateway def1',))
_add('pushed-routes', server=('push "route 198.51.100.0 255.255.255.0"', 'push "dhcp-option DNS 10.8.0.1"',
                              'push "route-metric 7"'),
     after=lambda pair: failed((_route(pair, '198.51.100.0/24'), 'the pushed route is there')))
_add('ccd', server=('client-config-dir {folder}/ccd', 'route 10.66.0.0 255.255.255.0'), files={
    'ccd/client0': 'ifconfig-push 10.8.0.77 255.255.255.0\npush "route 198.51.101.0 255.255.255.0"\n'
                   'iroute 10.66.0.0 255.255.255.0\n'},
     after=lambda pair: failed((_route(pair, '198.51.101.0/24'), 'the route of client-config-dir is there'),
                               (pair.clients[0].tunnel_address() == '10.8.0.77', 'its address is there')))
_add('ipv6-inside', server=('server-ipv6 fd00:8::/64',), pair={'family': 'both'})
_add('tap', server=('dev-type tap',), client=('dev-type tap',))
_add('topology-net30', server=('topology net30',))
_add('topology-p2p', server=('topology p2p',))
_add('mssfix', server=('mssfix 1200',), client=('mssfix 1200',))
_add('fragment', server=('fragment 1200', 'mssfix 1200'), client=('fragment 1200', 'mssfix 1200'))
_add('compress-stub', server=('compress stub-v2',), client=('compress stub-v2',))
_add('comp-lzo-no', server=('comp-lzo no',), client=('comp-lzo no',))


def _both_reach(pair):
    other = pair.clients[1].tunnel_address()
    return failed((pair.network.ping(pair.clients[0].namespace, other, 2) == 2, 'one client reaches the other'))


_add('client-to-client', server=('client-to-client',), pair={'on_clients': (True, True)}, after=_both_reach)

# Keys, ciphers, users.
_add('tls-auth', server=('tls-auth {folder}/ta.key 0',), client=('tls-auth {folder}/ta.key 1',),
     keys=(('--genkey', 'secret', '{folder}/ta.key'),))
_add('tls-crypt', server=('tls-crypt {folder}/tc.key',), client=('tls-crypt {folder}/tc.key',),
     keys=(('--genkey', 'secret', '{folder}/tc.key'),))
_add('tls-crypt-v2', server=('tls-crypt-v2 {folder}/v2.key force-cookie',), client=('tls-crypt-v2 {folder}/v2c.key',),
     keys=(('--genkey', 'tls-crypt-v2-server', '{folder}/v2.key'),
           ('--tls-crypt-v2', '{folder}/v2.key', '--genkey', 'tls-crypt-v2-client', '{folder}/v2c.key')))
_add('chacha20', server=('data-ciphers CHACHA20-POLY1305',), client=('data-ciphers CHACHA20-POLY1305:AES-128-GCM',))
_add('cbc', server=('data-ciphers AES-256-CBC', 'auth SHA512'), client=('data-ciphers AES-256-CBC', 'auth SHA512'))
_add('tls-1.2', server=('tls-version-min 1.2', 'tls-version-max 1.2'), client=('tls-version-max 1.2',))
_add('inline', prepare=lambda pair: [_rewrite(daemon, _inlined) for daemon in (pair.server, *pair.clients)])


def _inlined(lines):
    return [text for line in lines for text in (
        [f'<{line.split()[0]}>', _text(line.split()[1]).rstrip(), f'</{line.split()[0]}>']
        if line.startswith(('ca ', 'cert ', 'key ')) else [line])]


_PASSWORD = {'user': 'somebody\nsecret\n', 'check': '#!/bin/sh\n[ "$(cat "$1")" = "somebody\nsecret" ]\n'}
_CHECKED = ('script-security 2', 'auth-user-pass-verify {folder}/check via-file')
_add('user-pass', server=(*_CHECKED, 'auth-gen-token 3600'), client=('auth-user-pass {folder}/user', 'auth-nocache'),
     files=_PASSWORD)


def _without_certificate(pair):
    _rewrite(pair.clients[0], lambda lines: [line for line in lines if not line.startswith(('cert ', 'key '))])


_add('username-as-common-name',
     server=(*_CHECKED, 'verify-client-cert none', 'username-as-common-name', 'client-config-dir {folder}/ccd'),
     client=('auth-user-pass {folder}/user',), prepare=_without_certificate, files=_PASSWORD | {'ccd/somebody': 'push "route 198.51.102.0 255.255.255.0"\n'},
     after=lambda pair: failed((_route(pair, '198.51.102.0/24'), 'the route of the user\'s own file is there')))

# Deferred: OpenVPN serves others meanwhile, and asks the file now and then.
_LATER = f'#!/bin/sh\n(sleep {_SLOW_S}; echo 1 >"$auth_control_file") >/dev/null 2>&1 &\nexit 2\n'
_add('deferred-auth', server=_CHECKED, client=('auth-user-pass {folder}/user',),
     files=_PASSWORD | {'check': _LATER})


def _typed_slowly(pair, client):
    client.launch()
    person = Person(f'{pair.folder}/{client.name}.mgmt')
    person.wait(r">PASSWORD:Need 'Auth' username/password SC:")
    time.sleep(_SLOW_S)
    person.say('username "Auth" "somebody"')
    person.say('password "Auth" "SCRV1:c2VjcmV0:MTIzNDU2"')
    wait_until(client.lives, 20, 'the client is up with its one-time password')
    client.person = person  # stays connected


_add('one-time-password', server=(*_CHECKED, 'auth-gen-token'), begin=_typed_slowly,
     client=('auth-user-pass', 'static-challenge "code" 1', 'auth-nocache', 'auth-retry interact',
             'management {folder}/client0.mgmt unix', 'management-query-passwords'),
     files={'check': '#!/bin/sh\ngrep -q "^SCRV1:c2VjcmV0:MTIzNDU2$" "$1"\n'})

# Scripts.
_HOOKS = {'note': '#!/bin/sh\necho "$script_type $*" >>{folder}/notes\n'}
_add('scripts', server=('script-security 2', *(f'{name} {{folder}}/note' for name in (
    'client-connect', 'client-disconnect', 'learn-address', 'up'))),
     client=('script-security 2', 'up {folder}/note', 'down {folder}/note', 'route-up {folder}/note'), files=_HOOKS,
     stopped=lambda pair: failed((poll_until(lambda: _has_file(f'{pair.folder}/notes', 'client-connect ', 'client-disconnect ',
                                                              'learn-address add', 'route-up '), 5),
                                  'every script was called')))
_add('push-remove', server=('script-security 2', 'client-connect {folder}/remove'),
     files={'remove': '#!/bin/sh\necho "push-remove ping-restart" >"$1"\n'},
     after=lambda pair: failed((any('ping-restart 0' not in line for line in re.findall('Timers: .*', pair.clients[0].log())),
                                'the script wins: the client has a timer of its own')))
_add('slow-connect-script', server=('script-security 2', 'client-connect {folder}/slow'),
     files={'slow': f'#!/bin/sh\nsleep {_SLOW_S}\n'})
_add('deferred-connect-script', server=('script-security 2', 'client-connect {folder}/later'),
     files={'later': '#!/bin/sh\necho 2 >"$client_connect_deferred_file"\n'
                     f'(sleep {_SLOW_S}; echo 1 >"$client_connect_deferred_file") >/dev/null 2>&1 &\n'})
_add('slow-learn-script', server=('script-security 2', 'learn-address {folder}/slow'),
     files={'slow': f'#!/bin/sh\n[ $1 != add ] || sleep {_SLOW_S}\n'})


def _stands_still(story, pair):
    """The second client's script holds OpenVPN up for all: the first one's session outlives it."""
    first, second = pair.clients
    pair.server.start()
    first.start()
    pair.attached(first)
    streams = Streams(pair, first)
    watch = story.watch(pair, first)
    cut_at = now_ns()
    second.start(_START_S)
    told = watch.result(cut_at, now_ns(), streams, limit=20, settle=0.3)
    pair.attached(second, 20)
    return [sentence for sentence in expect_survived(told, moved=False) if not sentence.startswith('the binding ')]


_add('slow-script-beside', server=('script-security 2', 'client-connect {folder}/slow'), pair={'on_clients': (True, True)},
     files={'slow': f'#!/bin/sh\n[ "$common_name" = client0 ] || sleep {_SLOW_S}\n'}, course=_stands_still, start=False)
# Ends the first birth, on both sides; with persist-tun OpenVPN does not call it again, and the second one holds.
_add('slow-up-script', client=('script-security 2', 'up {folder}/slow'), files={'slow': f'#!/bin/sh\nsleep {_SLOW_S}\n'})

# Somebody else at the management socket.


def _looks(pair):
    person = Person(f'{pair.folder}/server.mgmt')
    person.say('status 2')
    row = person.wait(r'CLIENT_LIST,client0,([^,]*),').group(1)
    return failed((row.startswith(ROUTER), f'the client stands in the status with its first address ({row})'))


_add('management', server=('management {folder}/server.mgmt unix',), after=_looks,
     said=(('server', 'management is in use by you'),))


def _held(pair, client):
    client.launch()
    person = Person(f'{pair.folder}/{client.name}.mgmt')
    person.wait('>HOLD:')
    time.sleep(1)
    person.say('hold release')
    wait_until(client.lives, 20, 'the client is up after its hold')
    client.person = person


_add('management-ends', server=('management {folder}/server.mgmt unix',), course=lambda story, pair:
     _operator_ends_it(story, pair), said=(('server', 'management is in use by you'),))
_add('management-hold', client=('management {folder}/client0.mgmt unix', 'management-hold'), begin=_held)


def _listened(pair, client):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f'{pair.folder}/gui.sock')
    listener.listen(1)
    listener.settimeout(10)
    client.launch()
    try:
        client.person = listener.accept()[0]
    except OSError:
        raise Fault('the client did not call its management program') from None
    wait_until(client.lives, 20, 'the client is up')


_add('management-client', client=('management {folder}/gui.sock unix', 'management-client'), begin=_listened)
_add('status-file', server=('status {folder}/status 1', 'status-version 3'), client=('status {folder}/status0 1',),
     after=lambda pair: failed((poll_until(lambda: _has_file(f'{pair.folder}/status', 'CLIENT_LIST\tclient0'), 4),
                                'the client stands in the status file')))

# Where the options stand.


def _in_a_folder(pair):
    """The client's file is in a folder, and so is all that it names; OpenVPN is told to go there."""
    client, place = pair.clients[0], f'{pair.folder}/etc'
    os.mkdir(place)
    for name in ('ca.crt', 'client0.crt', 'client0.key'):
        os.symlink(f'{pair.folder}/pki/{name}', f'{place}/{name}')
    _rewrite(client, lambda lines: [line.replace(f'{pair.folder}/pki/', '') for line in lines])
    os.rename(client.config, f'{place}/client0.conf')
    client.words = ['--cd', place, '--config', 'client0.conf']


def _with_cd(pair):
    """The file itself changes the folder."""
    client = pair.clients[0]
    _rewrite(client, lambda lines: [f'cd {pair.folder}/pki', *(line.replace(f'{pair.folder}/pki/', '') for line in lines),
                                    'hand-window 700'])


def _with_cd_from_elsewhere(pair):
    """The file's name is relative to where OpenVPN was started, which nothing says once `cd` has been read."""
    _with_cd(pair)
    client = pair.clients[0]
    client.words = ['--config', os.path.relpath(client.config, pair.run.folder)]


def _split(pair):
    """Half of it in a second file, and one option on the command line."""
    client, second = pair.clients[0], f'{pair.folder}/second.conf'
    with open(second, 'w', encoding='utf-8') as file:
        file.write('hand-window 700\nmssfix 1300\n')
    client.words = ['--config', client.config, '--config', second, '--explicit-exit-notify', '1']


def _on_the_command_line(pair):
    client = pair.clients[0]
    words = [word for line in _text(client.config).splitlines() if line for word in ('--' + line).split()]
    client.words = [*words, '--hand-window', '700']


_OWN_WINDOW = ('client', 'hand-window 700 is yours')
_add('folder', prepare=_in_a_folder)
_add('cd', prepare=_with_cd, said=(_OWN_WINDOW,))
_add('cd-unreadable', prepare=_with_cd_from_elsewhere, said=(('client', 'cannot be read'),))
_add('two-files', prepare=_split, said=(_OWN_WINDOW,))
_add('command-line', prepare=_on_the_command_line, said=(_OWN_WINDOW,))

# The process: a root folder of its own, other users.
_add('chroot', server=('chroot {folder}/jail', 'user nobody', 'group nogroup'), files={'jail/tmp/here': ''},
     client=('user nobody', 'group nogroup'))


def _cannot_announce(_story, pair):
    client = pair.clients[0]
    pair.server.start()
    client.launch()
    said = poll_until(client.said, 10, 0.1)
    return failed((any('neither client nor pull' in line for line in said), f'the client says that it stays bare ({said})'),
                  (not client.end.sessions(), 'the client has no session')) + _stop(pair, CONFIGURATIONS['no-pull'])


_add('no-pull', client=('tls-client', 'ifconfig 10.8.0.2 255.255.255.0', 'topology subnet'), drop=('client',),
     course=_cannot_announce, start=False)

# Ends and timers.


def _server_was_told(pair):
    # The farewell of OpenVPN itself comes a moment after the plugin's; either is an end at once.
    gone = poll_until(lambda: re.search(r'client0.*(remote-exit|SIGTERM\[)', pair.server.log()), 6)
    ends = [e.get('reason_code') for e in pair.server.end.events() if e.get('event_type') == 'SessionTerminated']
    return failed((gone, 'the server\'s instance ends at once'),
                  (ends in (['peer_terminated'], ['host_terminated']), f'the session ends once, by its peer ({ends})'))


_add('explicit-exit-notify', client=('explicit-exit-notify 2',), stopped=_server_was_told)


def _server_restarts(_story, pair):
    old = pair.attached()[0]['session_id']
    pair.server.process.stop(8)
    # OpenVPN's own word and the plugin's leave together; either begins the client anew.
    wrong = failed((poll_until(lambda: _reasons(pair.clients[0].end, old), 8, 0.1), 'the client knows at once'))
    pair.server.start()
    return wrong + _reborn(pair, old, 'after the server has come back')


_add('server-exit-notify', server=('explicit-exit-notify 1',), course=_server_restarts)


def _client_exits(_story, pair):
    old = pair.attached()[0]['session_id']
    status = pair.clients[0].process.wait(25)
    wrong = failed((status == 0, f'the client\'s OpenVPN ends by itself with status 0 ({status})'))
    return wrong + _ended(pair, old, 'peer_terminated', 'host_terminated') + _stop_server(pair)


def _stop_server(pair):
    status = pair.server.process.stop(8)
    return failed((status == 0, f'the server ends with status 0 on SIGTERM ({status})'))


# Probes are no traffic of the tunnel: with the plugin too a silent tunnel is inactive.
_add('inactive', client=('inactive 6',), course=_client_exits)
_add('pushed-inactive', server=('push "inactive 6"',), course=_client_exits)
_add('session-timeout', client=('session-timeout 6',), course=_client_exits)


def _server_ends_it(_story, pair):
    old = pair.attached()[0]['session_id']
    return _reborn(pair, old, 'after the server\'s session-timeout') + _ended(
        pair, old, 'host_terminated', 'peer_terminated')


_add('server-session-timeout', server=('client-config-dir {folder}/ccd',), files={'ccd/client0': 'session-timeout 6\n'},
     course=_server_ends_it)


def _operator_ends_it(_story, pair):
    old = pair.attached()[0]['session_id']
    pair.server.end.terminate(old)
    return _reborn(pair, old, 'after an operator ended the old one') + failed(
        (pair.clients[0].process.running(), 'the client\'s OpenVPN goes on'))


_add('remap-usr1', client=('remap-usr1 SIGHUP',), course=_operator_ends_it)


def _operator_ends_all(_story, pair):
    old = pair.attached()[0]['session_id']
    pair.server.end.terminate(old)
    status = pair.clients[0].process.wait(10)
    return failed((status == 0, f'the client\'s OpenVPN ends with status 0 ({status})')) + _ended(
        pair, old, 'operator_terminated', 'peer_terminated') + _stop_server(pair)


_add('remap-usr1-sigterm', client=('remap-usr1 SIGTERM',), course=_operator_ends_all, said=(('client', 'remap-usr1'),))


def _hole(story, pair):
    """Longer than every ping timer that the files have."""
    streams = Streams(pair)
    watch = story.watch(pair)
    cut_at = pair.network.hole(True)
    time.sleep(8)
    return expect_survived(watch.result(cut_at, pair.network.hole(False), streams), moved=True)


_add('ping-exit', server=('ping 1', 'ping-restart 5'), client=('ping 1', 'ping-exit 5'), pair={'keepalive': 'none'},
     course=_hole, said=(('client', 'ping-exit'),))


def _renegotiates(story, pair):
    streams = Streams(pair)
    old = pair.attached()[0]['session_id']
    before = pair.clients[0].handshakes()
    wrong = failed((poll_until(lambda: pair.clients[0].handshakes() >= before + 2, 40), 'OpenVPN renegotiated twice'))
    told = _move(story, pair, pair.clients[0], streams)
    told['facts']['handshakes'] = 0
    rotated = [e for e in pair.server.end.events() if e.get('event_type') == 'KeyRotated']
    return wrong + expect_survived(told, moved=True) + failed(
        (pair.attached()[0]['session_id'] == old, 'the session is the first one'),
        (rotated, 'the server recorded the new keys'))


_add('pull-filter', client=('pull-filter ignore ping-restart',), said=(('client', 'pull-filter'),))
_add('once-only', client=('single-session', 'tls-exit', 'connect-retry-max 1'))
_add('reneg-sec', server=('reneg-sec 10',), client=('reneg-sec 10',), course=_renegotiates)

# Two of something.


def _one_certificate(pair):
    _rewrite(pair.clients[1], lambda lines: [line.replace('/client1.crt', '/client0.crt').replace(
        '/client1.key', '/client0.key') for line in lines])


_add('duplicate-cn', server=('duplicate-cn',), pair={'on_clients': (True, True)}, prepare=_one_certificate)


def _two_servers(story, pair):
    """A second server on the same machine, on a port of its own, with the same folders for its plugin."""
    shared = f'{pair.folder}/lib'
    os.mkdir(shared, mode=0o700)
    second = copy.copy(pair)
    second.server = Daemon(pair.run, 'server2', pair.network.server, pair.folder, _text(pair.server.config).splitlines())
    second.server.end, second.clients = story.stage.attach(pair.folder, 'server', 'server2'), pair.clients[1:]
    _rewrite(second.server, lambda lines: [
        f'port {PORT + 1}' if line == f'port {PORT}' else 'dev tun1' if line == 'dev tun0' else
        second.server.end.line if line.startswith('plugin ') else line.replace('10.8.0.0', '10.9.0.0') for line in lines])
    _rewrite(second.clients[0], lambda lines: [
        f'{line[:-len(str(PORT))]}{PORT + 1}' if line.startswith('remote ') and line.endswith(f' {PORT}') else line
        for line in lines])
    # As with the defaults: both in the same folders, told apart by the stem of their configuration.
    for daemon in (pair.server, second.server):
        _rewrite(daemon, lambda lines: [re.sub(r' name=\S+', '', re.sub(r'state_dir=\S+', f'state_dir={shared}', line))
                                        for line in lines])
    pair.clients = pair.clients[:1]
    wrong, both = [], (pair, second)
    for each in both:
        each.server.start()
        each.clients[0].start()
        each.attached()
    streams = [Streams(each, uplink=False, tcp=False) for each in both]
    for each, stream in zip(both, streams):
        told = _move(story, each, each.clients[0], stream)
        wrong += [f'{each.server.name}: {sentence}' for sentence in expect_survived(told, moved=True)]
    wrong += failed(*((len(_live(each.server.end)) == 1, f'{each.server.name} has its own session alone') for each in both))
    second.clients[0].process.stop(8)
    return wrong + _stop_server(second)


_add('two-servers', pair={'on_clients': (True, True)}, course=_two_servers, start=False)


def _clones(_story, pair):
    """Whoever comes newer throws the other out, as OpenVPN has it; he is told, and after some rounds it is an alarm."""
    first, newer = pair.clients
    pair.server.start()
    first.start()
    old = pair.attached(first)[0]['session_id']
    newer.launch()
    won = poll_until(lambda: pair.is_attached(newer), 15, 0.1)
    wrong = failed((won, 'the newer client is ATTACHED'),
                   (poll_until(lambda: _reasons(first.end, old), 5, 0.1) == ['peer_terminated'],
                    'the older client\'s session ends by what it was told'),
                   (_reasons(pair.server.end, old) == ['host_terminated'], 'the server ended it'))
    alarm = poll_until(lambda: [e for e in pair.server.end.events() if e.get('event_type') == _ALARM], 40, 0.2)
    wrong += failed((alarm, f'the server\'s audit has {_ALARM}'),
                    (any('credentials' in line for line in pair.server.said()), 'the server\'s log says why'),
                    (any('credentials' in line for client in pair.clients for line in client.said()), 'a client\'s log says why'),
                    (len(_live(pair.server.end)) <= 1, 'the server never has two sessions of one name'))
    return wrong


def _bare_clone(_story, pair):
    """The other one has no plugin: it is not told, and comes again when its user starts it again."""
    first, bare = pair.clients

    def thrown_out():
        old = pair.attached(first, 60)[0]['session_id']
        bare.launch()
        done = poll_until(lambda: _reasons(pair.server.end, old) == ['host_terminated'], 15, 0.1)
        bare.process.stop(8)
        return done

    pair.server.start()
    first.start()
    wrong = failed(*((thrown_out(), f'the bare client throws the session out ({n})') for n in range(2)))
    early = [e for e in pair.server.end.events() if e.get('event_type') == _ALARM]
    wrong += failed((not early, 'twice is no alarm'), (thrown_out(), 'the bare client throws the session out (2)'))
    return wrong + failed(
        (poll_until(lambda: [e for e in pair.server.end.events() if e.get('event_type') == _ALARM], 5, 0.1),
         f'the server\'s audit has {_ALARM}'),
        (any('credentials' in line for line in pair.server.said()), 'the server\'s log says why'))


_ALARM = 'SecurityCredentialsShared'
_add('cloned-credentials', server=('script-security 2', 'client-disconnect {folder}/slow'), course=_clones, start=False,
     files={'slow': '#!/bin/sh\nsleep 0.5\n'}, pair={'on_clients': (True, True)}, prepare=_one_certificate)
_add('cloned-credentials-bare', course=_bare_clone, start=False, pair={'on_clients': (True, False)}, prepare=_one_certificate)


def _refused(_story, pair):
    first, second = pair.clients
    pair.server.start()
    first.start()
    old = pair.attached(first)[0]['session_id']
    second.launch()
    status = second.process.wait(15)
    return failed(
        (status is not None and 'AUTH_FAILED' in second.log(), f'the second client is told that it is refused ({status})'),
        (any('session_table_full' in line for line in pair.server.said()), 'the server\'s log says why'),
        (any(e.get('reason_code') == 'session_table_full' for e in pair.server.end.events()), 'so does its audit'),
        (pair.attached(first)[0]['session_id'] == old, 'the first client\'s session goes on'))


_add('table-full', pair={'on_clients': (True, True)}, course=_refused, start=False, prepare=lambda pair: _rewrite(
    pair.server, lambda lines: [f'{line} max_sessions=1' if line.startswith('plugin ') else line for line in lines]))

_LONG = ('deferred-auth', 'slow-script-beside', 'slow-up-script', 'one-time-password', 'slow-connect-script', 'deferred-connect-script', 'reneg-sec',
         'server-session-timeout', 'slow-learn-script', 'cloned-credentials', 'cloned-credentials-bare')
