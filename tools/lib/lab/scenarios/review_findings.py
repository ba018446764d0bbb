# SPDX-License-Identifier: GPL-2.0-or-later
"""What an independent review of the plugin found, each as small as it can be shown.

A session when its OpenVPN goes on over TCP; a newcomer under an alias who is refused; instances that
nobody ended. Read next: newcomer.py, host_life.py.
"""
import signal

from ..network import SERVER
from ..openvpn import PORT, Daemon, Pair
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
