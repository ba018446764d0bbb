# SPDX-License-Identifier: GPL-2.0-or-later
"""A31: no leak of keys: the secret that a session comes from, looked for in the memory of both processes.

The secret of each handshake is written down by a plugin of the lab (secretspy.c). What OpenVPN keeps of it is its
environment's text, in hex, and counted as a figure; the bytes themselves are ours to wipe. The session's own keys are derived
from it here, as tests/vectors/reference.py does: each may be in one record of ours, which no core dump has, and in no file.
Cores that the kernel wrote are searched too. Read next: ../cores.py, neighbours.py.
"""
import importlib.util
import os
import signal

from .. import cores
from ..network import REPOSITORY
from ..openvpn import TUNNEL_SERVER
from ..run import Fault, command, poll_until, wait_until
from ..story import failed, scenario
from .host_life import ENDS, end_of

_SOURCE = f'{REPOSITORY}/tools/lib/secretspy.c'
_OPENVPN = 1  # enum jump_host_kind


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


def reference():
    """The reference's derivations."""
    spec = importlib.util.spec_from_file_location('reference', f'{REPOSITORY}/tests/vectors/reference.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _mappings(pid):
    """(begin, end, whether a core dump leaves it out) of each that can be read and written."""
    place = None
    with open(f'/proc/{pid}/smaps', encoding='ascii', errors='replace') as smaps:
        for line in smaps:
            words = line.split()
            if '-' in words[0] and not words[0].endswith(':'):
                place = (*(int(word, 16) for word in words[0].split('-')), words[1])
            elif words[0] == 'VmFlags:' and place[2].startswith('rw'):
                yield place[0], place[1], 'dd' in words


def copies_of(pid, needle):
    """How often a core dump would have these bytes, and how often it would not."""
    found = {'dumped': 0, 'left_out': 0}
    with open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
        for begin, end, left_out in _mappings(pid):
            data = bytearray()
            try:
                memory.seek(begin)
                while len(data) < end - begin and (more := memory.read(end - begin - len(data))):
                    data += more
            except OSError:
                continue
            found['left_out' if left_out else 'dumped'] += data.count(needle)
    return found


def _keys_look(pair, keys):
    return {end: {name: copies_of(end_of(pair, end).process.pid, key) for name, key in keys.items()} for end in ENDS}


def files_with(folder, needles):
    """Files below it that hold one of these, as bytes or in hex; the lab's own notes of the secret apart."""
    found = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            if name.endswith('.secrets') or not os.path.isfile(path) or os.path.islink(path):
                continue
            with open(path, 'rb') as file:
                text = file.read()
            if any(needle in text or needle.hex().encode() in text.lower() for needle in needles):
                found.append(os.path.relpath(path, folder))
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
          for when in ('attached', 'afterwards') for end in ENDS),
        (facts.get('files_find', 1) > 0, 'the search of files finds what is there (the session\'s id, in the audit)'),
        (facts['files'] == [], f'no file has the secret or a key ({facts["files"]})'),
        *((copies['dumped'] == 0, f'{when}: a core dump of the {end} would not have {name} ({copies})')
          for when in facts['keys'] for end in ENDS for name, copies in facts['keys'][when][end].items()),
        *((copies['left_out'] == 1, f'attached: the {end} has one copy of {name} ({copies})')
          for end in ENDS for name, copies in facts['keys'].get('attached', {}).get(end, {}).items()),
        *((copies['left_out'] == (end == 'server'), f'afterwards: of {name} the {end} has what its tombstone needs ({copies})')
          for end in ENDS for name, copies in facts['keys'].get('afterwards', {}).get(end, {}).items()))


def _spied(story, label='p', **words):
    """A pair whose handshakes' secrets are written down; the files, by end."""
    spy, paths = f'{story.run.folder}/secretspy.so', {end: f'{story.run.folder}/{label}-{end}.secrets' for end in ENDS}
    command('cc', '-std=gnu11', '-O2', '-shared', '-fPIC', '-o', spy, _SOURCE)
    exporter = [] if story.stage else ['keying-material-exporter EXPORTER-jumping 32']
    pair = story.pair(label, server_lines=[f'plugin {spy} {paths["server"]}', *exporter],
                      client_lines=[f'plugin {spy} {paths["client"]}', *exporter], **words)
    wait_until(lambda: all(os.path.exists(path) and os.path.getsize(path) for path in paths.values()), 5, 'a secret')
    return pair, {end: _first_secret(path) for end, path in paths.items()}


@scenario('a31-secrets', 'a session\'s secret is looked for in both processes, while it lives and after SIGUSR1', _expect_secrets,
          attacks=('A31',))
def a31_secrets(story):
    pair, secrets = _spied(story)
    client = pair.clients[0]
    pair.network.ping(client.namespace, TUNNEL_SERVER, 5)
    facts = {'same': secrets['client'] == secrets['server'], 'attached': _look(pair, secrets),
             'finds': _count(client.process.pid, b'lab authority'), 'keys': {}, 'files': []}
    keys = {}
    if story.stage:
        rules, secret = reference(), bytes.fromhex(secrets['client'])
        session = rules.session_id(_OPENVPN, secret)
        if session.hex() not in [view['session_id'] for view in client.end.sessions()]:
            raise Fault('the session is not the one of this secret')
        keys = dict(zip(('the client\'s key', 'the server\'s key'), rules.epoch_keys(session, secret)))
        facts['keys']['attached'] = _keys_look(pair, keys)
    lives = client.lives()
    client.process.signal(signal.SIGUSR1)
    if not poll_until(lambda: client.lives() > lives, 20):
        raise Fault('the client does not come back')
    if story.stage:
        pair.attached()
    pair.network.ping(client.namespace, TUNNEL_SERVER, 10)
    facts['afterwards'] = _look(pair, secrets)
    if story.stage:
        facts['keys']['afterwards'] = _keys_look(pair, keys)
        facts['files_find'] = len(files_with(story.run.folder, [session]))
        facts['files'] = files_with(story.run.folder, [bytes.fromhex(secrets['client']), *keys.values()])
    return {'figures': {f'{when}_{end}_hex': facts[when][end]['hex'] for when in ('attached', 'afterwards') for end in ENDS},
            'facts': facts}


# Cores

def crashed(story, pair, needles, ordinary):
    """Both ends of a pair crash with their session alive: what their cores have of these, and of what must be there (by end)."""
    found = {}
    for end in ENDS:
        daemon = end_of(pair, end)
        path = cores.crash(daemon.process, story.run.folder, f'{pair.label}-{end}.dump')
        found[end] = cores.counted(path, needles | {'the audit\'s path': daemon.end.audit.encode() + b'\0', **ordinary})
        found[end]['MB'] = os.path.getsize(path) // (1 << 20)
        os.unlink(path)
    return found


def expect_cores(result):
    """Of what is secret no core has any; of what must be there each; and with MADV_DONTDUMP taken away, each key."""
    facts = result['facts']
    return failed(
        *((count == 0, f'the {end}\'s core has no copy of {name} ({count})') for end, counts in facts['cores'].items()
          for name, count in counts.items() if name in facts['secret']),
        *((count > 0, f'{which}: the {end}\'s core has {name} ({count})') for which in ('cores', 'planted')
          for end, counts in facts[which].items() for name, count in counts.items() if name not in facts['secret']),
        *((facts['planted'][end][name] > 0, f'planted: without MADV_DONTDUMP the {end}\'s core has {name}')
          for end in ENDS for name in facts['secret'] if name.endswith('key')))


@scenario('a31-core', 'both processes crash (SIGABRT), and a session\'s secret and keys are looked for in the kernel\'s cores', expect_cores,
          variants=(), attacks=('A31',))
def a31_core(story):
    cores.must_be_files()
    facts, rules = {}, reference()
    for label, through in (('cores', ()), ('planted', cores.everything_dumped(story.run.folder))):
        pair, secrets = _spied(story, label, through=through)
        secret = bytes.fromhex(secrets['client'])
        session = rules.session_id(_OPENVPN, secret)
        if session.hex() not in [view['session_id'] for view in pair.clients[0].end.sessions()]:
            raise Fault('the session is not the one of this secret')
        needles = {'the secret': secret, **dict(zip(('the client\'s key', 'the server\'s key'), rules.epoch_keys(session, secret)))}
        facts[label] = crashed(story, pair, needles, {'OpenVPN\'s own copy of the secret, in hex': secrets['client'].encode()})
    facts['secret'] = list(needles)
    return {'figures': {}, 'facts': facts}
