# SPDX-License-Identifier: GPL-2.0-or-later
"""A31: no leak of keys: what a session comes from, and its keys, looked for in the memory of both charons.

charon itself writes each SK_d into its log when it is told to (ike = 4); from there on everything is derived as
tests/vectors/reference.py does. SK_d and charon's own copies are charon's. Read next: ../host_secrets.py.
"""
import re

from ...charon_story import scenario
from ...run import Fault, poll_until
from ...story import failed
from ... import cores
from ..host_secrets import copies_of, crashed, expect_cores, files_with, reference

_STRONGSWAN = 2  # enum jump_host_kind
_LABEL = b'jumping v1 secret'


def _skd(text):
    """The first SK_d of a log."""
    lines = iter(text.splitlines())
    for line in lines:
        if match := re.search(r'Sk_d secret => (\d+) bytes', line):
            found = b''
            while len(found) < int(match[1]):
                found += bytes.fromhex(re.search(r'\d+: ((?:[0-9A-F]{2} ?){1,16})', next(lines))[1])
            return found
    raise Fault('charon has not written its SK_d')


def _look(pair, needles):
    return {charon.name: {name: copies_of(charon.process.pid, needle) for name, needle in needles.items()}
            for charon in (pair.clients[0], pair.server)}


def _expect(result):
    facts = result['facts']
    wanted = {'attached': {'client0': 1, 'server': 1}, 'afterwards': {'client0': 0, 'server': 1}}
    return failed(
        (facts['skd'] > 0, 'the search finds what is there (charon\'s own SK_d)'),
        *((copies == {'dumped': 0, 'left_out': 0 if name == 'the secret' else count},
           f'{when}: {name} in {end} ({copies}; {count} wanted of a key, where a core dump does not go)')
          for when, ends in wanted.items() for end, count in ends.items() for name, copies in facts[when][end].items()),
        (facts['files'] == [], f'no file has the secret or a key ({facts["files"]})'))


def _known(story, label='p', through=()):
    """A pair whose session's secrets are known: (pair, SK_d, what to look for)."""
    def before(pair):
        for charon in (pair.server, pair.clients[0]):
            charon.through = list(through)
    pair = story.pair(label, before=before, settings={'filelog': {'stderr': {'ike': 4}}})
    client = pair.clients[0]
    if not client.end:
        raise Fault('without the plugin there is nothing to look for')
    rules, skd = reference(), _skd(client.log())
    secret = rules.prf_plus('sha256', skd, _LABEL, 32)
    session = rules.session_id(_STRONGSWAN, secret)
    if session.hex() not in [view['session_id'] for view in client.end.sessions()]:
        raise Fault('the session is not the one of this SK_d')
    return pair, skd, {'the secret': secret, **dict(zip(('the client\'s key', 'the server\'s key'),
                                                        rules.epoch_keys(session, secret)))}


@scenario('secrets', 'a session\'s secret and keys are looked for in both charons, while it lives and after its end', _expect,
          attacks=('A31',))
def secrets(story):
    pair, skd, needles = _known(story)
    client = pair.clients[0]
    facts = {'skd': copies_of(client.process.pid, skd)['dumped'], 'attached': _look(pair, needles)}
    client.ask('terminate', {'ike': pair.names()[0]}, wait=60)
    poll_until(lambda: not client.end.sessions() and not pair.server.end.sessions(), 20, step=0.2)
    facts |= {'afterwards': _look(pair, needles), 'files': files_with(story.run.folder, list(needles.values()))}
    return {'figures': {}, 'facts': facts}


@scenario('a31-core', 'both charons crash (SIGABRT), and a session\'s secret and keys are looked for in the kernel\'s cores', expect_cores,
          variants=(), attacks=('A31',))
def a31_core(story):
    cores.must_be_files()
    facts = {}
    for label, through in (('cores', ()), ('planted', cores.everything_dumped(story.run.folder))):
        pair, skd, needles = _known(story, label, through)
        facts[label] = crashed(story, pair, needles, {'charon\'s SK_d': skd})
    facts['secret'] = list(needles)
    return {'figures': {}, 'facts': facts}
