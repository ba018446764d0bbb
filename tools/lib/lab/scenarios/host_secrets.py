# SPDX-License-Identifier: GPL-2.0-or-later
"""A31: no leak of keys: the secret that a session comes from, looked for in the memory of both processes.

The secret of each handshake is written down by a plugin of the lab (secretspy.c). What OpenVPN keeps of it is its
environment's text, in hex, and counted as a figure; the bytes themselves are ours to wipe. Read next: neighbours.py.
"""
import os
import signal

from ..network import REPOSITORY
from ..openvpn import TUNNEL_SERVER
from ..run import Fault, command, poll_until, wait_until
from ..story import failed, scenario
from .host_life import ENDS, end_of

_SOURCE = f'{REPOSITORY}/tools/lib/secretspy.c'


def _count(pid, needle):
    """How often these bytes are in the process's memory."""
    found = 0
    with open(f'/proc/{pid}/maps', encoding='ascii', errors='replace') as maps, \
            open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
        for line in maps:
            words = line.split()
            if 'r' not in words[1] or words[-1] in ('[vvar]', '[vsyscall]'):
                continue
            begin, end = (int(word, 16) for word in words[0].split('-'))
            data = bytearray()
            try:
                memory.seek(begin)
                while len(data) < end - begin and (more := memory.read(end - begin - len(data))):
                    data += more
            except OSError:
                continue  # guard pages
            found += data.count(needle)
    return found


def _look(pair, secrets):
    return {end: {'bytes': _count(end_of(pair, end).process.pid, bytes.fromhex(secrets[end])),
                  'hex': _count(end_of(pair, end).process.pid, secrets[end].encode())} for end in ENDS}


def _first_secret(path):
    with open(path, encoding='ascii') as file:
        return file.read().split()[0]


def _expect_secrets(result):
    facts = result['facts']
    return failed(
        (facts['same'], 'both ends derive from the same secret'),
        (facts['finds'] > 0, 'the search finds what is there (the name of the server\'s certificate)'),
        *((facts[when][end]['bytes'] == 0, f'{when}: no copy of the secret in the {end}\'s memory ({facts[when][end]})')
          for when in ('attached', 'afterwards') for end in ENDS))


@scenario('a31-secrets', 'a session\'s secret is looked for in both processes, while it lives and after SIGUSR1', _expect_secrets,
          attacks=('A31',))
def a31_secrets(story):
    spy = f'{story.run.folder}/secretspy.so'
    command('cc', '-std=gnu11', '-O2', '-shared', '-fPIC', '-o', spy, _SOURCE)
    paths = {end: f'{story.run.folder}/{end}.secrets' for end in ENDS}
    exporter = [] if story.stage else ['keying-material-exporter EXPORTER-jumping 32']
    pair = story.pair(server_lines=[f'plugin {spy} {paths["server"]}', *exporter],
                      client_lines=[f'plugin {spy} {paths["client"]}', *exporter])
    client = pair.clients[0]
    wait_until(lambda: all(os.path.exists(path) and os.path.getsize(path) for path in paths.values()), 5, 'a secret')
    secrets = {end: _first_secret(path) for end, path in paths.items()}
    pair.network.ping(client.namespace, TUNNEL_SERVER, 5)
    facts = {'same': secrets['client'] == secrets['server'], 'attached': _look(pair, secrets),
             'finds': _count(client.process.pid, b'lab authority')}
    lives = client.lives()
    client.process.signal(signal.SIGUSR1)
    if not poll_until(lambda: client.lives() > lives, 20):
        raise Fault('the client does not come back')
    if story.stage:
        pair.attached()
    pair.network.ping(client.namespace, TUNNEL_SERVER, 10)
    facts['afterwards'] = _look(pair, secrets)
    return {'figures': {f'{when}_{end}_hex': facts[when][end]['hex'] for when in ('attached', 'afterwards') for end in ENDS},
            'facts': facts}
