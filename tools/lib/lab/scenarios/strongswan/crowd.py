# SPDX-License-Identifier: GPL-2.0-or-later
"""Many IKE_SAs between two charons, each with a virtual IP of its own, and all are rebound in the same moment.

One charon holds all the clients' IKE_SAs: to the server they have one address and one port, as the users of one site
have. Read next: ../../crowd.py, the traffic.
"""
import os
import statistics
import threading

from ... import crowd as traffic
from ...charon_story import scenario
from ...run import Fault, now_ns, poll_until, say, seconds, wait_until
from ...story import failed, pause
from ...strongswan import memory_kib

_PACKETS_MS = 100  # between two packets to one client


class _Queue(threading.Thread):
    """Looks at charon's job queue ten times a second: how many waited, and how long it did not even answer."""

    def __init__(self, charon):
        super().__init__(daemon=True)
        self._charon = charon
        self._end = threading.Event()
        self.most, self.slowest = 0, 0

    def run(self):
        while not self._end.wait(0.1):
            began = now_ns()
            try:
                stats = self._charon.ask('stats')
            except Fault:
                continue
            self.most = max(self.most, sum(map(int, stats['queues'].values())))
            self.slowest = max(self.slowest, now_ns() - began)

    def end(self):
        self._end.set()
        self.join()
        return self


def _expect(result):
    facts = result['facts']
    count = facts['ike_sas']
    return failed(
        (facts['back'] == count, f'all {count} are back ({facts["back"]} are)'),
        (facts['same_ike_spis'] == count, f'every IKE_SA is the same ({facts["same_ike_spis"]} are)'),
        (facts['same_esp_spis'] == count, f'every CHILD_SA is the same ({facts["same_esp_spis"]} are)'),
        (facts['same_virtual_ips'] == count, f'every virtual IP is the same ({facts["same_virtual_ips"]} are)'),
        (facts['same_sessions'] == count, f'every session is the same ({facts["same_sessions"]} are)'),
        (facts['handshakes'] == 0, f'nobody authenticated anew ({facts["handshakes"]} did)'),
        (facts['queued_afterwards'] == 0, f'no job waits in either charon ({facts["queued_afterwards"]})'),
    )


def _sessions(pair):
    return {s['session_id'] for s in pair.server.end.sessions() if s['state'] == 'ATTACHED'} if pair.server.end else set()


@scenario('crowd', '--clients IKE_SAs of one charon, all rebound at once', _expect, alone=True,
          variants=(('--clients', '200'),))
def crowd(story):
    count = story.options.clients
    pair = story.pair(connections=count)
    client = pair.clients[0]
    say(f'  {count} IKE_SAs are up')
    wait_until(lambda: len(client.established()) == len(pair.server.established()) == count, 30, 'all are established')
    if story.stage:
        wait_until(lambda: len(_sessions(pair)) == count, 30, 'every session is ATTACHED at the server', step=0.2)
    before = {sa.name: sa for sa in client.established()}
    record = f'{pair.folder}/crowd.record'
    targets = [f'={sa.virtual[0]}' for sa in before.values()]
    program = ['/usr/bin/python3', os.path.abspath(traffic.__file__)]
    story.run.start([*program, 'receive', record, *targets], 'p-receive.log', client.namespace)
    wait_until(lambda: os.path.exists(record), 20, 'the receiver is ready')
    story.run.start([*program, 'send', str(_PACKETS_MS), *targets], 'p-send.log', pair.server.namespace)
    start = now_ns()
    wait_until(lambda: len(traffic.back_after(record, start)) == count, 30, 'packets arrive at every client', step=0.2)
    sessions, handshakes = _sessions(pair), client.handshakes()
    pause(2, 'packets to all of them')
    queues = [_Queue(charon) for charon in (client, pair.server)]
    for queue in queues:
        queue.start()
    cut_at = pair.network.rebind(pair.network.clients[0])
    poll_until(lambda: len(traffic.back_after(record, cut_at)) == count, story.options.wait, step=0.2)
    back = sorted(traffic.back_after(record, cut_at).values())
    pause(2, 'to settle')
    queues = [queue.end() for queue in queues]
    after = {sa.name: sa for sa in client.established()}
    waiting = [sum(map(int, charon.ask('stats')['queues'].values())) for charon in (client, pair.server)]
    figures = {'median_s': seconds(statistics.median(back)) if back else None,
               'p99_s': seconds(back[min(len(back) - 1, round(0.99 * count))]) if len(back) == count else None,
               'last_s': seconds(back[-1]) if len(back) == count else None,
               'jobs_queued_most': max(queue.most for queue in queues),
               'slowest_answer_s': seconds(max(queue.slowest for queue in queues))}
    alike = [(sa, after[name]) for name, sa in before.items() if name in after]
    return {'figures': figures, 'facts': {
        'ike_sas': count, 'back': len(back), 'same_sessions': len(sessions & _sessions(pair)),
        'same_ike_spis': sum(old.spis == new.spis for old, new in alike),
        'same_esp_spis': sum(old.esp == new.esp for old, new in alike),
        'same_virtual_ips': sum(old.virtual == new.virtual for old, new in alike),
        'handshakes': client.handshakes() - handshakes, 'queued_afterwards': sum(waiting),
        'server_rss_kib': memory_kib(pair.server), 'client_rss_kib': memory_kib(client)}}
