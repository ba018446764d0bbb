# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody may have a session's keys: an operator says so, at one end and at the other, and it is over at once.

Read next: attacks_clock.py.
"""
from ..run import now_ns, poll_until, seconds
from ..siege import STRANGER, Siege, expect_claims, on_both
from ..story import pause


def _beside(siege):
    """The other client's session and binding; a busy machine may have called its path VOLATILE meanwhile."""
    return [(view['session_id'], view['generation']) for view in siege.look(siege.pair.clients[1]) or ()]


def _compromised(siege, name):
    """A37: jumpctl terminate --reason security_failure at this end."""
    daemon = {'server': siege.pair.server, 'client': siege.client}[name]
    other = 'client' if name == 'server' else 'server'
    session = siege.look()[0]['session_id']
    beside = _beside(siege)
    here = siege.at_server()
    since = now_ns()
    daemon.end.jumpctl('terminate', session, '--reason', 'security_failure', '--socket', f'{daemon.end.run_dir}/{daemon.end.name}.sock')

    def ends(end):
        return [e for e in siege.events(end, since, 'SessionTerminated') if e['session_id'] == session]
    ended = poll_until(lambda: ends(name), 5, 0.02)
    siege.claim(f'A37: the {name} ends it, security_failure', ended and ended[0]['reason_code'] == 'security_failure')
    told = poll_until(lambda: ends(other), 5, 0.02)
    # Ours and IKE's own DELETE go out together: two threads of the other charon take them up.
    words = ('peer_terminated', 'host_terminated') if siege.host == 'strongswan' else ('peer_terminated',)
    siege.claim(f'A37: the {name} says so, and the {other} ends it', told and told[0]['reason_code'] in words)
    if ended:
        siege.figures[f'a37_{name}_s'] = seconds(ended[0]['mono_ns'] - since)
    changes = [e for end in ('client', 'server') for e in siege.events(end, since, 'SessionStateChange') if e['session_id'] == session]
    siege.claim(f'A37: {name}: from where it was to TERMINATED, with nothing in between',
                len(changes) == 2 and all(e['new_state'] == 'TERMINATED' for e in changes))
    if name == 'client' and siege.host == 'strongswan':  # whoever ends it himself begins again himself
        siege.client.initiate(siege.pair.names()[0], siege.pair.children[0])
    siege.pair.attached(timeout=30)
    siege.claim(f'A37: {name}: the new session has another id', siege.look()[0]['session_id'] != session)
    siege.claim(f'A37: {name}: another client\'s session is as it was', beside and _beside(siege) == beside)
    old = [d.payload for d in siege.wan.find('PROBE', source=here)[-3:] if d.session_id.hex() == session]
    siege.attack('A37', f'{name}: what was said under the old keys, once more', old, STRANGER)
    siege.claim(f'A37: {name}: there was something to say again', old)


@on_both('a37-keys', 'A37: an operator says at either end that a key may be known: over at once, and the next one is new', expect_claims,
         attacks=('A37',))
def a37_keys(story):
    siege = Siege(story, streams=False, on_clients=(True, True),
                  **({'child': {'close_action': 'start'}} if story.host == 'strongswan' else {}))
    pause(1, 'probes')
    for name in ('server', 'client'):
        _compromised(siege, name)
    return siege.result(handshakes=2, restarts=2)
