# SPDX-License-Identifier: GPL-2.0-or-later
"""The shortest scenario: up, traffic, the session is there, down.

Run it first; if it fails, no other one can hold. Read next: start.py.
"""
from ..openvpn import TUNNEL_SERVER
from ..run import now_ns
from ..story import failed, scenario, timeline


def _expect(result):
    facts = result['facts']
    return failed(
        (facts['pings_answered'] == 3, f'three pings are answered ({facts["pings_answered"]} were)'),
        (facts['server_status'] == 0 and facts['client_status'] == 0,
         f'both OpenVPN end with status 0 on SIGTERM ({facts["server_status"]}, {facts["client_status"]})'),
        (result['session']['generation_before'] >= 1, 'the session has a generation'),
    )


@scenario('smoke', 'connect, ping, see the session ATTACHED at both ends, stop', _expect,
          variants=((), ('--family', '6'), ('--kernel',)))
def smoke(story):
    since = now_ns()
    pair = story.pair()
    client = pair.clients[0]
    result = {'figures': {}, 'facts': {'pings_answered': pair.network.ping(client.namespace, TUNNEL_SERVER, 3)}}
    if client.end:
        mine, theirs = pair.attached()
        result['session'] = {'id_before': mine['session_id'], 'generation_before': theirs['generation'],
                             'states': [mine['state'], theirs['state']]}
    result['facts'] |= {'handshakes': client.handshakes(), 'client_status': client.process.stop(),
                        'server_status': pair.server.process.stop()}
    if client.end:
        result['session']['events'] = timeline({'client': client.end.events(since),
                                                'server': pair.server.end.events(since)}, since)
    return result
