# SPDX-License-Identifier: GPL-2.0-or-later
"""Before and beside the session: its birth is stripped of our messages, and its log has no room or is edited.

Read next: attacks_flood.py.
"""
import contextlib
import os
import shutil
import time

from ..attacker import DATA
from ..openvpn import TUNNEL_SERVER
from ..run import command, now_ns, poll_until
from ..siege import STRANGER, Siege, expect_claims, on_both
from ..story import pause

_WINDOW_S = 4
_DISK_KBYTE = 64
_FORGED = 80


def _begin(siege):
    """The client's host begins; true: it came up by itself. A charon's half is over in a moment, OpenVPN says so in its log."""
    if siege.host == 'openvpn':
        siege.client.launch()
        return poll_until(lambda: siege.client.lives() > 0, 15)
    siege.client.start()
    siege.pair.connect(siege.client)
    return bool(siege.client.established())


@on_both('a39-stripped', 'A39: every message of ours is dropped from the first on: it waits and fails, unmoved',
         expect_claims, attacks=('A39',))
def a39_stripped(story):
    siege = Siege(story, streams=False, waiting=1, policy={'birth_window_ms': _WINDOW_S * 1000})
    siege.network.block(siege.message('client'), siege.message('server'))
    since = now_ns()
    siege.claim('A39: the host itself comes up', _begin(siege))
    # OpenVPN's server begins, once it has authorised the user, and ends it; IKE's notifies tell both, and the client does both.
    openvpn = siege.host == 'openvpn'
    kind, left, reached = ('BIRTH_OFFER', siege.wan, siege.lan) if openvpn else ('BIRTH', siege.lan, siege.wan)
    who, end = ('server', siege.pair.server.end) if openvpn else ('client', siege.client.end)
    siege.claim('A39: births were offered, and none arrived', poll_until(
        lambda: left.find(kind, since=since), 5) and not reached.find(kind, since=since))
    born = poll_until(lambda: [s for s in end.sessions() if s['state'] == 'BIRTH'], 5)
    siege.claim(f'A39: the {who}\'s session waits in BIRTH', born)
    # The path is frozen: a genuine packet of the client's, from elsewhere and its original suppressed, moves nothing.
    siege.network.block(f'iifname "lan00" udp dport {siege.carrier.port}')
    marked = now_ns()
    siege.network.ping(siege.client.namespace, TUNNEL_SERVER, timeout=1)
    packets = siege.lan.find(DATA, since=marked)
    siege.claim('A39: a data packet was suppressed', packets)
    siege.to_server.send_all([d.payload for d in packets], STRANGER, siege.server_at)
    siege.claim('A39: it came from another address', poll_until(lambda: siege.door.find(DATA, source=STRANGER), 2))
    ended = poll_until(lambda: [e for e in siege.events(who, since, 'SessionTerminated')
                                if e['reason_code'] == 'handshake_fail'], _WINDOW_S + 5)
    siege.claim(f'A39: the {who} ended it when the window was over, handshake_fail', ended)
    siege.claim('A39: nothing was ever sent to that address', not [
        d for d in siege.door.find(target=STRANGER) if d.outgoing])
    siege.claim('A39: neither end was ever attached', not [e for name in ('client', 'server') for e in siege.events(
        name, since, 'TransportAttached')])
    siege.network.unmute()
    siege.claim('A39: without the thief a session is born', poll_until(siege.pair.is_attached, 60, 0.1))
    return siege.result(handshakes=siege.client.handshakes(), restarts=siege.client.restarts() if openvpn else 0)


def _small_disk(story):
    """A file system with room for some hundred lines."""
    folder = f'{story.run.folder}/small'
    os.mkdir(folder, 0o700)
    command('mount', '-t', 'tmpfs', '-o', f'size={_DISK_KBYTE}k,mode=700', 'lab', folder)
    story.run.defer(command, 'umount', '-l', folder)
    return folder


def _full_disk(siege, folder):
    """A28: there is no room left; then there is again."""
    since = now_ns()
    with open(f'{folder}/ballast', 'wb', buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1024)):
            pass
    # The log's last page may have some room yet. More than the rate of such records lets pass: those are left out.
    lie = siege.forged('PROBE', bytes.fromhex(siege.look()[0]['session_id']))
    siege.to_server.send_all([lie] * _FORGED, STRANGER, siege.server_at)
    time.sleep(0.5)
    generation = siege.look()[1]['generation']
    siege.rebind('A28')
    siege.rebind('A28')
    siege.claim('A28: with a full disk the session moves as ever', siege.look()[1]['generation'] == generation + 2)
    siege.claim('A28: traffic flows', siege.streams.wait_resumed(now_ns(), 10))
    siege.claim('A28: the disk was full: the moves are not in the log',
                not siege.events('server', since, 'TransportSwitch'))
    os.unlink(f'{folder}/ballast')
    siege.claim('A28: with room again what was held back is written, both moves', poll_until(
        lambda: len(siege.events('server', since, 'TransportSwitch')) == 2, 10))
    time.sleep(0.1)
    siege.to_server.send(lie, STRANGER, siege.server_at)
    gap = poll_until(lambda: siege.events('server', since, 'EventsDropped'), 5)
    siege.claim('A28: and how many records were left out', gap and gap[0].get('dropped', 0) > 0)
    siege.all_recorded('A28', since, _FORGED + 1)


def _edited(siege, folder):
    """A29: as it is the log verifies; with one character changed, a line out, or two lines exchanged it does not."""
    end, copy = siege.pair.server.end, f'{folder}/server.jsonl'
    where = ['--state', end.state, '--name', end.name]
    with open(end.audit, encoding='utf-8') as file:
        lines = file.read().splitlines(keepends=True)
    edits = {
        'as it is': lines,
        'a digit changed': [*lines[:-2], lines[-2].replace('"generation":', '"generation":1', 1), lines[-1]],
        'a line out': lines[:-3] + lines[-2:], 'two lines exchanged': [*lines[:-3], lines[-2], lines[-3], lines[-1]],
        'its tail cut': lines[:-2], 'a line more': lines + lines[-1:]}
    for what, edited in edits.items():
        with open(copy, 'w', encoding='utf-8') as file:
            file.writelines(edited)
        status, said = end.jumpctl('audit', 'verify', *where, copy)
        siege.claim(f'A29: {what}: verify {"finds nothing" if what == "as it is" else "finds it"}',
                    status == (0 if what == 'as it is' else 1))
    status, said = end.jumpctl('audit', 'replay', end.audit)
    siege.claim('A29: replay reproduces the log', status == 0)


@on_both('a28-audit', 'A28 A29: the audit log\'s disk is full, and its lines are edited afterwards', expect_claims,
         attacks=('A28', 'A29'))
def a28_audit(story):
    folder = _small_disk(story)
    siege = Siege(story, server_settings={'audit': f'{folder}/audit/server.jsonl'})
    pause(1, 'traffic both ways')
    _full_disk(siege, folder)
    siege.client.process.stop()
    siege.pair.server.process.stop()
    copies = f'{siege.pair.folder}/copies'
    os.mkdir(copies)
    shutil.copytree(f'{folder}/audit', f'{copies}/kept')
    _edited(siege, copies)
    return siege.told()
