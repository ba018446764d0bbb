# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the audit goes is slow or gone: a pipe whose reader does not read, a file that is taken away.

A full disk is in attacks_birth.py. Read next: rotation.py.
"""
import array
import fcntl
import os
import termios
import time

from ..run import now_ns, poll_until
from ..siege import STRANGER, Siege, expect_claims, on_both
from ..story import pause

# A pipe of one page is full with some ten lines.
_PIPE_BYTES = 4096
_FORGED = 80
_MOVES = 4


def _moves(siege, what):
    """The session moves and traffic flows, as with a log."""
    before, since = siege.look(), now_ns()
    siege.claim(f'A28: {what}: both ends still speak of the session', before)
    if not before:
        return since
    for _ in range(_MOVES):
        siege.rebind('A28')
    after = siege.look()
    siege.claim(f'A28: {what}: the session moves as ever', after and after[1]['generation'] == before[1]['generation'] + _MOVES)
    siege.claim(f'A28: {what}: traffic flows', siege.streams.wait_resumed(now_ns(), 10))
    return since


class _Reader:
    """He has the pipe open, and reads when he is asked to; what he read is a file then, as of any log."""

    def __init__(self, pipe, kept):
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._kept = kept

    def waiting(self):
        """Bytes in the pipe."""
        count = array.array('i', [0])
        fcntl.ioctl(self._pipe, termios.FIONREAD, count)
        return count[0]

    def read(self):
        with open(self._kept, 'ab') as file:
            while self.waiting():
                file.write(os.read(self._pipe, 1 << 16))


def _unread(siege, reader):
    lie = siege.forged('PROBE', bytes.fromhex(siege.look()[0]['session_id']))
    siege.to_server.send_all([lie] * _FORGED, STRANGER, siege.server_at, 0.002)
    since = _moves(siege, 'nobody reads')
    siege.claim('A28: nobody reads: the pipe was full', reader.waiting() > _PIPE_BYTES - 1024)

    def told():
        reader.read()
        return len(siege.events('server', since, 'TransportSwitch')) == _MOVES
    siege.claim('A28: nobody reads: what had no room comes when somebody does', poll_until(told, 15, 0.2))
    # A refusal more: the limit of their records says how many it has left out.
    time.sleep(1)
    siege.to_server.send(lie, STRANGER, siege.server_at)

    def gap():
        reader.read()
        return siege.events('server', siege.began, 'EventsDropped')
    siege.claim('A28: nobody reads: records that were left out are told of', poll_until(gap, 10, 0.2))
    siege.all_recorded('A28', siege.began, _FORGED + 1, reader.read)


@on_both('a28-pipe', 'A28: the audit goes into a pipe that nobody reads for a while', expect_claims, strongswan={'variants': ()},
         attacks=('A28',))
def a28_pipe(story):
    pipe, kept = f'{story.run.folder}/sink/server.jsonl', f'{story.run.folder}/read.jsonl'
    os.mkdir(os.path.dirname(pipe), 0o700)
    os.mkfifo(pipe, 0o600)
    reader = _Reader(pipe, kept)
    siege = Siege(story, server_settings={'audit': pipe}, policy={'max_switches_per_min': 60})
    siege.pair.server.end.audit = kept  # here the lab reads what the plugin wrote
    pause(1, 'traffic both ways')
    _unread(siege, reader)
    return siege.result()


@on_both('a28-gone', 'A28: the audit\'s file is taken away under the server', expect_claims, strongswan={'variants': ()},
         attacks=('A28',))
def a28_gone(story):
    siege = Siege(story, policy={'max_switches_per_min': 60})
    end = siege.pair.server.end
    pause(1, 'traffic both ways')
    siege.rebind('A28')
    os.unlink(end.audit)
    pause(1.5, 'the file is looked at each second')
    since = _moves(siege, 'the file is gone')
    siege.claim('A28: the file is gone: a new one has the moves', poll_until(
        lambda: len(siege.events('server', since, 'TransportSwitch')) == _MOVES, 10))
    status, said = end.verify()
    siege.claim('A28: the file is gone: verify says that lines came before it', status == 0 and 'begins at seq' in said)
    return siege.result()
