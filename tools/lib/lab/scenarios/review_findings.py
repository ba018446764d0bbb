# SPDX-License-Identifier: GPL-2.0-or-later
"""What an independent review of the plugin found, each as small as it can be shown.

A session when its OpenVPN goes on over TCP; a newcomer under an alias who is refused; instances on an
IPv6 socket that nobody ended; a server over TCP that could not read so. Read next: newcomer.py, host_life.py.
"""
import os
import re
import signal

from ..network import SERVER
from ..openvpn import PORT, TUNNEL_SERVER, Daemon, Pair
from ..run import poll_until, say
from ..story import failed, pause, scenario

_TCP_SERVER = '10.9.0.1'


def _expect_tcp(result):
    facts = result['facts']
    return failed((facts['went_to_tcp'], 'the client comes up over TCP'),
                  (facts['pings'] == 3, f'the tunnel over TCP carries packets ({facts["pings"]} of 3)'),
                  (facts['sessions'] == 0, f'the session over UDP is closed ({facts["sessions"]} left)'),
                  (facts['ended'] == 'host_terminated', f'by the host ({facts["ended"]})'),
                  (facts['restarts'] == 1, f'no signal cuts the connection over TCP ({facts["restarts"]} restarts)'))


@scenario('session-then-tcp', 'the server goes, the next remote is TCP: no signal of the session cuts that', _expect_tcp,
          variants=(('--policy', 'strict'),))
def session_then_tcp(story):
    pair = Pair(story.run, 'p', story.stage,
                remote=[f'remote {SERVER} {PORT} udp4', f'remote {SERVER} {PORT + 1} tcp4-client'],
                server_lines=['explicit-exit-notify 2'])
    with open(pair.server.config, encoding='utf-8') as file:
        credentials = [line for line in file.read().splitlines() if line.split()[0] in ('ca', 'cert', 'key')]
    over_tcp = Daemon(story.run, 'tcp', pair.network.server, pair.folder, [
        'dev tun1', 'dev-type tun', 'verb 4', 'proto tcp4-server', f'local {SERVER}', f'port {PORT + 1}', 'topology subnet',
        'server 10.9.0.0 255.255.255.0', 'dh none', 'keepalive 10 60',
        *credentials])
    client = pair.clients[0]
    say('  p: starting both servers and the client')
    over_tcp.start()
    pair.start()
    pair.server.process.signal(signal.SIGTERM)
    up = bool(poll_until(lambda: client.lives() == 2, 20))
    pause(10, 'past the recovery window of the policy strict')
    ended = [e['reason_code'] for e in client.end.events() if e['event_type'] == 'SessionTerminated']
    return {'figures': {}, 'facts': {
        'went_to_tcp': up, 'pings': pair.network.ping(client.namespace, _TCP_SERVER, 3), 'ended': ended and ended[0],
        'sessions': len(client.end.sessions()), 'restarts': client.restarts()}}


def _expect_refused(result):
    facts = result['facts']
    return failed((facts['alias'] is not None, 'OpenVPN\'s log knows the newcomer by an alias'),
                  (facts['told'], 'it is told AUTH_FAILED, and its OpenVPN ends'),
                  (facts['first_pings'] == 3, f'the first client goes on ({facts["first_pings"]} of 3 pings)'),
                  (facts['sessions'] == 1, f'the server has the first one\'s session alone ({facts["sessions"]})'))


def _refused(story, refusal):
    script = f'{story.run.folder}/hello'
    with open(script, 'w', encoding='utf-8') as file:
        file.write(f'#!/bin/sh\n[ "$common_name" = client1 ] || exit 0\n{refusal}')
    os.chmod(script, 0o755)
    pair = Pair(story.run, 'p', story.stage, on_clients=(True, True),
                server_lines=['script-security 2', f'client-connect {script}'])
    network, (first, second), places = pair.network, pair.clients, pair.network.clients
    say('  p: the first client moves, the newcomer begins where it was')
    pair.server.start()
    first.start()
    left = pair.attached(first)[1]['binding']
    network.rebind(places[0])
    poll_until(lambda: (pair.is_attached(first) or [{}, {'binding': left}])[1]['binding'] != left, 20)
    network.map_to(places[1], port=int(left.rpartition(':')[2]))
    second.launch()
    told = bool(poll_until(lambda: not second.process.running(), 15)) and 'AUTH_FAILED' in second.log()
    alias = re.search(r'client1/(240\.\S+)', pair.server.log())
    poll_until(lambda: len(pair.server.end.sessions()) == 1, 10)  # with the instance, 5 s after OpenVPN has told it
    return {'figures': {}, 'facts': {
        'alias': alias and alias.group(1), 'told': told, 'sessions': len(pair.server.end.sessions()),
        'first_pings': network.ping(first.namespace, TUNNEL_SERVER, 3)}}


@scenario('newcomer-refused', 'a newcomer under an alias is refused by client-connect, and told so', _expect_refused)
def newcomer_refused(story):
    return _refused(story, 'exit 1\n')


@scenario('newcomer-refused-late', 'the same by a deferred client-connect, whose client has a session by then', _expect_refused)
def newcomer_refused_late(story):
    return _refused(story, 'echo 2 >"$client_connect_deferred_file"\n'
                           '(sleep 2; echo 0 >"$client_connect_deferred_file") >/dev/null 2>&1 &\n')


# Nothing of ours arrives at the router but what is OpenVPN's: envelopes begin with 0xF8.
_NO_BIRTH = 'table inet x {\nchain f { type filter hook forward priority 0; udp dport 1194 @th,64,8 0xf8 drop; }\n}\n'


def _expect_ended(result):
    facts = result['facts']
    return failed((facts['ended'] >= 2, f'sessions end in their birth ({facts["ended"]})'),
                  (facts['kills'] == facts['ended'], f'each one\'s instance is ended ({facts["kills"]})'),
                  (facts['instances'] <= 2, f'no instance stays behind ({facts["instances"]})'))


@scenario('unborn-over-ipv6', 'births that are lost, over IPv6: their instances end, whose peer-id nobody knows', _expect_ended,
          variants=(('--policy', 'strict'),))
def unborn_over_ipv6(story):
    status = f'{story.run.folder}/status'
    pair = Pair(story.run, 'p', story.stage, family=6, keepalive='none',
                server_lines=['duplicate-cn', f'status {status} 1', 'status-version 3'])
    pair.network.inside(pair.network.router, 'nft', '-f', '-', stdin=_NO_BIRTH)
    pair.server.start()
    pair.clients[0].start()
    pause(20, 'a session that is not born ends, the client begins anew')
    with open(status, encoding='utf-8') as file:
        instances = sum(line.startswith('CLIENT_LIST') for line in file)
    kills = set(re.findall(r'CMD \'client-kill (\d+)', pair.server.log()))
    return {'figures': {}, 'facts': {'ended': pair.server.log().count('closing the client instance'), 'kills': len(kills),
                                     'instances': instances}}


def _expect_bare(result):
    facts = result['facts']
    return failed((facts['unread'], 'the server says that its configuration cannot be read'),
                  (facts['said'], 'and that its clients stay bare, once one came over TCP'),
                  (facts['sessions'] == 0, f'there is no session ({facts["sessions"]})'),
                  (facts['restarts'] == 0, f'nobody throws the client out ({facts["restarts"]} restarts)'),
                  (facts['pings'] == 3, f'the tunnel carries packets ({facts["pings"]} of 3)'))


@scenario('tcp-server-unread', 'a server over TCP whose configuration comes from a pipe; its client announces itself', _expect_bare)
def tcp_server_unread(story):
    pair = Pair(story.run, 'p', story.stage, proto='tcp4',
                remote=[f'remote {SERVER} {PORT} tcp4-client', f'remote {SERVER} {PORT + 1} udp4'])
    server, client = pair.server, pair.clients[0]
    server.through = ['bash', '-c', f'exec "$@" < <(cat {server.config})', 'bash']
    server.words = ['--config', '/dev/stdin']
    server.start()
    client.start()
    pause(14, 'longer than a birth and what it takes to end an instance')
    return {'figures': {}, 'facts': {
        'unread': any('cannot be read' in line for line in server.said()),
        'said': any('proto tcp cannot be taken over' in line for line in server.said()),
        'sessions': len(server.end.sessions()) + len(client.end.sessions()), 'restarts': client.restarts(),
        'pings': pair.network.ping(client.namespace, TUNNEL_SERVER, 3)}}
