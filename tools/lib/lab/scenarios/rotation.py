# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit log of a server that dropped its privileges is rotated, as docs/audit.md tells an administrator to.

Read next: host_life.py.
"""
import os
import shutil

from ..openvpn import TUNNEL_SERVER
from ..run import poll_until
from ..story import failed, pause, scenario


def _expect(result):
    facts = result['facts']
    return failed((facts['new_lines'] > 0, f'A28: after the renaming the new file is written ({facts["new_lines"]} lines)'),
                  (facts['old_grew'] == 0, f'A28: and the old one no more ({facts["old_grew"]} lines)'),
                  (facts['verify'] == 0, f'A29: jumpctl audit verify takes both, the oldest first ({facts["verify"]})'))


def _lines(path):
    with open(path, encoding='utf-8') as file:
        return file.read().count('\n')


@scenario('a28-rotation', 'A28: the audit log is renamed and made anew under a server of user nobody (plugin only)', _expect,
          attacks=('A28',))
def a28_rotation(story):
    log = f'{story.run.folder}/audit/server.jsonl'
    old = f'{log}.1'
    pair = story.pair(detached=True, server_settings={'audit': log})  # its folder is the plugin's to make
    os.rename(log, old)
    os.close(os.open(log, os.O_CREAT | os.O_EXCL, 0o600))
    shutil.chown(log, 'nobody', 'nogroup')
    before = _lines(old)
    pause(1.5, 'the file is looked at each second')
    pair.network.rebind(pair.network.clients[0])
    pair.network.ping(pair.clients[0].namespace, TUNNEL_SERVER, 3)
    poll_until(lambda: _lines(log), 10)
    pause(1, 'the last line is whole')
    status, _ = pair.server.end.jumpctl('audit', 'verify', '--state', pair.server.end.state, old, log)
    return {'figures': {}, 'facts': {'new_lines': _lines(log), 'old_grew': _lines(old) - before, 'verify': status}}
