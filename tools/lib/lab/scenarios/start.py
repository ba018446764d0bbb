# SPDX-License-Identifier: GPL-2.0-or-later
"""What the plugin does before there is a session: it refuses mistakes, and leaves TCP to OpenVPN.

Each mistake is made in the configuration of a pair that starts once the mistake is out of it, so
that nothing else can be the reason. Read next: moves.py.
"""
import os
import re

from ..openvpn import TUNNEL_SERVER, Pair
from ..run import Fault, say
from ..story import failed, scenario

_REFUSE_WITHIN = 5  # seconds
_KEY, _VALUE = 'heartbeat_interval_ms', '999999'
# root may write anywhere; without these it is stopped by a folder's mode, like anyone.
_NO_OVERRIDE = ('setpriv', '--bounding-set=-dac_override,-dac_read_search')
_PROFILES = ('strict', 'mobile', 'laptop')


def _changed(line, **settings):
    """A plugin line with other settings; role: the word before them."""
    word, plugin, role, *pairs = line.split()
    role = settings.pop('role', role)
    pairs = dict(pair.split('=', 1) for pair in pairs) | settings
    return ' '.join([word, plugin, role, *(f'{key}={value}' for key, value in pairs.items())])


def _bad_policy(source, path):
    """A copy with one value out of range. Returns the number of its line."""
    with open(source, encoding='utf-8') as file:
        lines = file.read().splitlines()
    number = next((i for i, line in enumerate(lines, 1) if line.startswith(f'{_KEY} =')), None)
    if number is None:
        raise Fault(f'{source} has no {_KEY}')
    lines[number - 1] = f'{_KEY} = {_VALUE}'
    with open(path, 'w', encoding='utf-8') as file:
        file.write('\n'.join([*lines, '']))
    return number


def _mistakes(folder, bad_policy, bad_line):
    """name: (end, settings, command to start it through, what its one line must name)."""
    locked, nowhere = f'{folder}/locked', f'{folder}/nowhere'
    os.mkdir(locked, mode=0o500)
    finding = (f'{bad_policy}:{bad_line}:', _KEY, _VALUE, 'allowed: ')
    return {
        'unknown-key': ('client', {'colour': 'red'}, (), ("'colour=red'", 'policy, name, state_dir')),
        'no-such-policy': ('client', {'policy': 'nobody'}, (), ('"nobody"',)),
        'policy-range': ('client', {'policy': bad_policy}, (), finding),
        'server-policy-range': ('server', {'policy': bad_policy}, (), finding),
        'log-level': ('client', {'log_level': 'loud'}, (), ('log_level', "'loud'", 'error, warning, info or debug')),
        'bad-name': ('client', {'name': '.x'}, (), ('name', "'.x'")),
        'relative-audit': ('client', {'audit': 'x.jsonl'}, (), ('audit', "'x.jsonl'", 'absolute')),
        # One missing folder is made; a path that is wrong further up is a mistake.
        'no-audit-folder': ('client', {'audit': f'{nowhere}/logs/x.jsonl'}, (), (f'{nowhere}/logs', 'No such file')),
        'locked-audit-folder': ('client', {'audit': f'{locked}/x.jsonl'}, _NO_OVERRIDE, (f'{locked}/x.jsonl',
                                                                                         'Permission denied')),
        'locked-state-dir': ('client', {'state_dir': locked}, _NO_OVERRIDE, (f'{locked}/', 'Permission denied')),
        'locked-run-dir': ('client', {'run_dir': locked}, _NO_OVERRIDE, (f'{locked}/', 'Permission denied')),
        'server-as-client': ('server', {'role': 'client'}, (), ("'client'", "is a server's")),
        'client-as-server': ('client', {'role': 'server'}, (), ("'server'", 'no server or mode server')),
        'no-role': ('client', {'role': 'relay'}, (), ("'client' or 'server'", "'relay'")),
    }


def _refusals(pair, mistakes):
    ends = {'server': pair.server, 'client': pair.clients[0]}
    told = {}
    for name, (end, settings, through, wanted) in mistakes.items():
        daemon = ends[end]
        status, lines = daemon.attempt(name, _changed(daemon.end.line, **settings), _REFUSE_WITHIN, through)
        told[name] = {'status': status, 'lines': lines, 'wanted': wanted}
    return told


def _tcp(story):
    say('  t: starting OpenVPN over TCP')
    pair = Pair(story.run, 't', story.stage, proto='tcp4')
    daemons = pair.server, pair.clients[0]
    for daemon in daemons:
        daemon.start()
    return {'pings_answered': pair.network.ping(daemons[1].namespace, TUNNEL_SERVER, 3),
            'lines': {daemon.name: daemon.said() for daemon in daemons},
            'sessions': {daemon.name: len(daemon.end.sessions()) for daemon in daemons}}


def _expect_refused(name, told):
    status, lines = told['status'], told['lines']
    return failed(
        (status is not None, f'{name}: OpenVPN ends within {_REFUSE_WITHIN} s'),
        (status is None or status > 0, f'{name}: OpenVPN ends with a status of failure ({status})'),
        (len(lines) == 1, f'{name}: the plugin says one line ({lines})'),
        *((any(word in line for line in lines), f'{name}: its line names {word} ({lines})') for word in told['wanted']))


def _expect(result):
    facts = result['facts']
    tcp, (status, printed) = facts['tcp'], facts['policy_check']
    shape = rf'^{re.escape(facts["bad_policy"])}: volatility\.{_KEY} = {_VALUE}: .*\(allowed: \d+ \.\. \d+\)$'
    return sum((_expect_refused(name, told) for name, told in facts['mistakes'].items()), []) + failed(
        (tcp['pings_answered'] == 3, f'over TCP three pings are answered ({tcp["pings_answered"]} were)'),
        *((len(lines) == 1 and 'proto tcp cannot be taken over' in lines[0] and 'as bare OpenVPN' in lines[0],
           f'over TCP the {name}\'s plugin says that it leaves OpenVPN alone, and no more ({lines})')
          for name, lines in tcp['lines'].items()),
        *((count == 0, f'over TCP the {name} has no session ({count})') for name, count in tcp['sessions'].items()),
        (status == 1, f'jumpctl policy check on the bad file ends with status 1 ({status})'),
        (len(re.findall(shape, printed, re.M)) == 1 and printed.count('\n') == 1,
         f'jumpctl policy check prints one line with file, line, key, value and range ({printed!r})'),
        *((code == 0, f'jumpctl policy check takes the installed {name}.ini (status {code})')
          for name, code in facts['profiles'].items()))


@scenario('start', 'what the plugin refuses at start, and that it leaves TCP alone (plugin only)', _expect)
def start(story):
    if not story.stage:
        raise Fault('start is about the plugin: not with --bare')
    pair = Pair(story.run, 'p', story.stage)
    bad = f'{pair.folder}/bad.ini'
    line = _bad_policy(story.stage.policy(), bad)
    facts = {'bad_policy': f'{bad}:{line}', 'mistakes': _refusals(pair, _mistakes(pair.folder, bad, line)),
             'policy_check': story.stage.policy_check(bad),
             'profiles': {name: story.stage.policy_check(story.stage.policy(name))[0] for name in _PROFILES}}
    pair.start()  # without the mistakes; a Fault if it does not get ATTACHED
    return {'figures': {}, 'facts': facts | {'tcp': _tcp(story)}}
