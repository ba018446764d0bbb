# SPDX-License-Identifier: GPL-2.0-or-later
"""The shortest scenario: up, traffic, the session is there, down.

Run it first; if it fails, no other one can hold. Read next: moves.py.
"""
from ...charon_story import scenario
from ...run import now_ns
from ...story import failed, timeline
from ...strongswan import Charon


def _expect(result):
    facts = result['facts']
    return failed(
        (facts['pings_answered'] == 3 * facts['children'],
         f'three pings through each CHILD_SA are answered ({facts["pings_answered"]} were)'),
        (facts['handshakes'] == 1, f'there was one authentication ({facts["handshakes"]})'),
        (facts['server_status'] == 0 and facts['client_status'] == 0,
         f'both charons end with status 0 on SIGTERM ({facts["server_status"]}, {facts["client_status"]})'),
        (facts['left_over'] == 0, f'the server has no IKE_SA after the client left ({facts["left_over"]})'),
        (result['session']['generation_before'] >= 1, 'the session has a generation'),
    )


@scenario('smoke', 'connect, ping through two CHILD_SAs, see the session ATTACHED at both ends, stop', _expect,
          variants=((), ('--auth', 'cert', '--family', '6'), ('--auth', 'eap-md5'), ('--auth', 'eap-mschapv2')))
def smoke(story):
    since = now_ns()
    pair = story.pair(children=2)
    client: Charon = pair.clients[0]
    pings = [pair.network.ping(client.namespace, pair.inner(index), 3) for index in range(len(pair.children))]
    result = {'figures': {}, 'facts': {'children': len(pings), 'pings_answered': sum(pings)}}
    if client.end:
        mine, theirs = pair.attached()
        result['session'] = {'id_before': mine['session_id'], 'generation_before': theirs['generation'],
                             'states': [mine['state'], theirs['state']]}
    result['facts'] |= {'handshakes': client.handshakes(), 'client_status': client.process.stop(),
                        'left_over': len(pair.server.sas()), 'server_status': pair.server.process.stop()}
    if client.end:
        result['session']['events'] = timeline({'client': client.end.events(since),
                                                'server': pair.server.end.events(since)}, since)
    return result
