# SPDX-License-Identifier: GPL-2.0-or-later
"""Many clients on one server behind one NAT, and all of its mappings change in the same moment.

Every client is an OpenVPN process in a namespace of its own; to the server all have one address, so
whatever limits one source prefix limits all of them together. Read next: ../crowd.py, its traffic.
"""
import os
import statistics

from .. import crowd as traffic
from ..network import Crowd
from ..openvpn import PORT, Daemon, Pair
from ..run import now_ns, poll_until, say, seconds, wait_until
from ..story import failed, pause, scenario

_AT_ONCE = 20      # clients that shake hands at the same time
_LIMIT_S = 90
_PACKETS_MS = 100  # between two packets to one client


def _expect(result):
    facts = result['facts']
    return failed(
        (facts['back'] == facts['clients'], f'all {facts["clients"]} clients are back ({facts["back"]} are)'),
        (facts['same_sessions'] == facts['clients'], f'every session is the same ({facts["same_sessions"]} are)'),
        (facts['moved'] == facts['clients'], f'every binding moved ({facts["moved"]} did)'),
        (facts['handshakes'] == 0, f'no TLS handshake took place ({facts["handshakes"]} did)'),
        (facts['native_floats'] == 0, f'OpenVPN itself moved nothing ({facts["native_floats"]} floats)'))


def _start_clients(story, pair, crowd):
    clients = []
    lines = pair.client_config('crowd', [f'remote {crowd.server} {PORT}'])  # one certificate: duplicate-cn
    for index, namespace in enumerate(crowd.namespaces):
        name = f'c{index}'
        end = story.stage.attach(pair.folder, 'client', name) if story.stage else None
        clients.append(Daemon(story.run, name, namespace, pair.folder, lines, end))
    for first in range(0, len(clients), _AT_ONCE):
        some = clients[first:first + _AT_ONCE]
        for client in some:
            client.launch()
        wait_until(lambda: all(client.lives() for client in some), _LIMIT_S, f'clients from {first} on are up', 0.1)
        say(f'  {first + len(some)} of {len(clients)} clients are up')
    return clients


def _sessions(pair):
    return {s['session_id']: s['generation'] for s in pair.server.end.sessions() if s['state'] == 'ATTACHED'}


def _rss_kib(daemon):
    with open(f'/proc/{daemon.process.pid}/status', encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))


@scenario('crowd', '--clients OpenVPN processes behind one NAT, all mappings rebound at once', _expect,
          alone=True, variants=(('--clients', '40'),))
def crowd(story):
    count = story.options.clients
    pair = Pair(story.run, 'p', story.stage, on_clients=(), keepalive=story.options.keepalive,
                server_lines=['duplicate-cn', f'max-clients {count + 10}'], subnet_bits=20)
    pair.server.start()
    place = Crowd(pair.network, count)
    clients = _start_clients(story, pair, place)
    if story.stage:
        wait_until(lambda: len(_sessions(pair)) == count, 30, 'every session is ATTACHED at the server', step=0.2)
    record = f'{pair.folder}/crowd.record'
    targets = [f'{client.namespace}={client.tunnel_address()}' for client in clients]
    program = ['/usr/bin/python3', os.path.abspath(traffic.__file__)]
    story.run.start([*program, 'receive', record, *targets], 'p-receive.log')
    wait_until(lambda: os.path.exists(record), 20, 'the receiver is ready')
    story.run.start([*program, 'send', str(_PACKETS_MS), *targets], 'p-send.log', pair.network.server)
    start = now_ns()
    wait_until(lambda: len(traffic.back_after(record, start)) == count, 30, 'packets arrive at every client', step=0.2)
    before = _sessions(pair) if story.stage else {}
    handshakes = sum(client.handshakes() for client in clients)
    pause(2, 'packets to all of them')
    cut_at = place.rebind()
    poll_until(lambda: len(traffic.back_after(record, cut_at)) == count, _LIMIT_S, step=0.2)
    back = sorted(traffic.back_after(record, cut_at).values())
    pause(2, 'to settle')
    after = _sessions(pair) if story.stage else {}
    figures = {'median_s': seconds(statistics.median(back)) if back else None,
               'p99_s': seconds(back[min(len(back) - 1, round(0.99 * count))]) if len(back) == count else None,
               'last_s': seconds(back[-1]) if len(back) == count else None}
    return {'figures': figures, 'facts': {
        'clients': count, 'back': len(back), 'same_sessions': len(before.keys() & after.keys()),
        'moved': sum(after.get(session, 0) > generation for session, generation in before.items()),
        'handshakes': sum(client.handshakes() for client in clients) - handshakes,
        'native_floats': pair.server.floats(), 'server_rss_kib': _rss_kib(pair.server)}}
