# SPDX-License-Identifier: GPL-2.0-or-later
"""The model check: spin walks through every state of the models in tests/model.

Each model is a small world of events in C (tests/model/NAME.c) whose transitions are rows of core/fsm.c itself, compiled in;
spin chooses what happens next, exhaustively within the bounds given here. A broken promise ends a search, and the way there
is written out event by event. Faults are planted too, a check left out or a row of core/fsm.def changed: each must be found.

  tools/proof model               all models at the bounds of every day, then every planted fault
  tools/proof model --long        larger bounds (minutes, up to 2 GB)
  tools/proof model --self-test   only the planted faults

Read docs/proof.md for what is modelled and what is not.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess

from . import tree

SUMMARY = 'every state of small models of the protocol, by spin'

_SOURCES = os.path.join(tree.REPOSITORY, 'tests', 'model')
_CORE = os.path.join(tree.REPOSITORY, 'core')
_BUILD = os.path.join(tree.REPOSITORY, 'build', 'model')
_MEMORY = 2048  # megabytes, at most

# name: model, its bounds every day, its bounds with --long, the promises that it can break
MODELS = {
    'reattach': ('messages', 'ASKS=4 ANSWERS=4', 'ASKS=5 ANSWERS=4', 'I1 I2 I8 PROOF FROZEN ROW'),
    'whole-life': ('messages', 'ASKS=2 ANSWERS=2 MEASURES ENDS THIEF UPLINKS THIRD_PATH',
                   'ASKS=3 ANSWERS=3 MEASURES ENDS THIEF', 'I1 I2 I8 I12 PROOF FROZEN ROW'),
    'versions': ('messages', 'ASKS=3 ANSWERS=3 VERSIONS ROLLBACK', 'ASKS=4 ANSWERS=4 VERSIONS ROLLBACK', 'I1 I2 I8 PROOF FROZEN ROW'),
    'restarts': ('messages', 'ASKS=2 ANSWERS=2 RESTARTS ENDS', 'ASKS=3 ANSWERS=3 RESTARTS ENDS', 'I1 I2 I8 I12 PROOF FROZEN RESET ROW'),
    'paths': ('paths', '', '', 'I1 I12 ROW'),
    'client-time': ('timing', 'CLIENT TTL=5 WINDOW=3 LIFETIME=12', 'CLIENT TTL=14 WINDOW=9 SWITCH_FOR=4 LIFETIME=60', 'I5 I6 I7 I12 ROW'),
    'client-time-long-window': ('timing', 'CLIENT TTL=5 WINDOW=5 LIFETIME=12', 'CLIENT TTL=14 WINDOW=14 SWITCH_FOR=4 LIFETIME=60', 'I5 I6 I7 I12 ROW'),
    'client-time-long-switch': ('timing', 'CLIENT TTL=4 WINDOW=1 SWITCH_FOR=3', 'CLIENT TTL=14 WINDOW=3 SWITCH_FOR=5 LIFETIME=60', 'I5 I6 I7 I12 ROW'),
    'server-time': ('timing', 'SERVER TTL=5 LIFETIME=12 SWITCHES=2', 'SERVER TTL=6 LIFETIME=16 SWITCHES=3 TICK_MS=10000u', 'I4 I5 I6 I7 I12 ROW'),
    'cluster': ('cluster', '', 'LEASE=4 PATHS=2', 'I1 I8 I11 ROW'),
    'recovery': ('recovery', '', 'LOSSES=2 DENIALS_LEFT=2', 'I10 ROW'),
}
LIVENESS = {'recovery'}

# what: model, bounds, the fault (a define; or a file of core/, what stands there, and what stands there instead), the promise it breaks
FAULTS = {
    'row T4 keeps the dead path': ('messages', 'ASKS=2 ANSWERS=2', (
        'fsm.def', 'JUMP_MOVE(T4, ATTACHED, TRANSPORT_DEAD, BOTH, RECOVERING_UNBOUND,',
        'JUMP_MOVE(T4, ATTACHED, TRANSPORT_DEAD, BOTH, RECOVERING_BOUND,'), 'I1'),
    'the store\'s answer binds what has ended': ('messages', 'ASKS=2 ANSWERS=2 ENDS', 'FAULT_ZOMBIE', 'I1'),
    'two sessions on one path': ('paths', '', 'FAULT_FREE', 'I1'),
    'a session is made for a PROOF': ('messages', 'ASKS=2 ANSWERS=2 RESTARTS', 'FAULT_CREATES', 'I2'),
    'no switch rate': ('timing', 'SERVER', 'FAULT_RATE', 'I4'),
    'a minute of the switch rate is 40 s': ('timing', 'SERVER', (
        'session.c', '#define MINUTE JUMP_MS(60000)', '#define MINUTE JUMP_MS(40000)'), 'I4'),
    'no recovery window': ('timing', 'CLIENT', 'FAULT_WINDOW', 'I5'),
    'T23 begins the window anew': ('timing', 'CLIENT', 'FAULT_T23', 'I5'),
    'a switch by choice outlasts the recovery window': ('timing', 'CLIENT WINDOW=1 SWITCH_FOR=3', 'FAULT_PATIENCE', 'I5'),
    'no lifetime': ('timing', 'CLIENT', 'FAULT_LIFETIME', 'I6'),
    'a message is looked at before what is due': ('timing', 'SERVER', 'FAULT_TIMERS', 'I6'),
    'an attempt begins the transport TTL anew': ('timing', 'CLIENT', 'FAULT_TTL', 'I7'),
    'the transport TTL waits for the store': ('timing', 'SERVER', 'FAULT_FENCE', 'I7'),
    'row T18 leads on': ('timing', 'SERVER', (
        'fsm.def', 'JUMP_MOVE(T18, RECOVERING_UNBOUND, TRANSPORT_TTL, BOTH, TERMINATED, R(TRANSPORT_TTL_EXCEEDED))',
        'JUMP_MOVE(T18, RECOVERING_UNBOUND, TRANSPORT_TTL, BOTH, ATTACHED, R(TRANSPORT_TTL_EXCEEDED))'), 'ROW'),
    'the store does not compare revisions': ('messages', 'ASKS=2 ANSWERS=2 THIEF', 'FAULT_REVISION', 'I8'),
    'a REQUEST may know more than the server': ('messages', 'ASKS=3 ANSWERS=3 VERSIONS ROLLBACK', 'FAULT_VERSION', 'I8'),
    'row T5 leads to where T12 does': ('messages', 'ASKS=2 ANSWERS=2 VERSIONS', (
        'fsm.def', 'JUMP_MOVE(T5, ATTACHED, REATTACH_VALID, SERVER, RECOVERING_BOUND,',
        'JUMP_MOVE(T5, ATTACHED, REATTACH_VALID, SERVER, TERMINATED,'), 'I8'),
    'a REQUEST is sent once': ('recovery', '', 'FAULT_ONCE', 'I10'),
    'row T24 stays where it is': ('recovery', '', (
        'fsm.def', 'JUMP_MOVE(T24, DEGRADED_UNBOUND, RETRY_DUE, CLIENT, RECOVERING_UNBOUND, R(RECOVERY_RETRY))',
        'JUMP_STAY(T24, DEGRADED_UNBOUND, RETRY_DUE, CLIENT)'), 'I10'),
    'row T12 leads back': ('recovery', '', (
        'fsm.def', 'JUMP_MOVE(T12, RECOVERING_UNBOUND, REATTACH_VALID, BOTH, ATTACHED, R(REATTACH_SUCCESS))',
        'JUMP_MOVE(T12, RECOVERING_UNBOUND, REATTACH_VALID, BOTH, RECOVERING_UNBOUND, R(REATTACH_SUCCESS))'), 'I10'),
    'no fence': ('cluster', '', 'FAULT_FENCE', 'I11'),
    'a lease counts from the answer': ('cluster', '', 'FAULT_FROM_ANSWER', 'I11'),
    'a late write is not compared': ('cluster', '', 'FAULT_COMPARE', 'I11'),
    'an owner is followed before its lease is over': ('cluster', '', 'FAULT_TAKEOVER', 'I11'),
    'no margin for slow clocks': ('cluster', 'MARGIN=0', None, 'I11'),
    'row T22 lets the dead rise': ('messages', 'ASKS=2 ANSWERS=2 ENDS', (
        'fsm.def', 'JUMP_STAY(T22, TERMINATED, REATTACH_VALID, BOTH)',
        'JUMP_MOVE(T22, TERMINATED, REATTACH_VALID, BOTH, RECOVERING_UNBOUND, R(REATTACH_SUCCESS))'), 'I12'),
    'a counter may come again': ('messages', 'ASKS=2 ANSWERS=2', 'FAULT_COUNTER', 'PROOF'),
    'the seal is not looked at': ('messages', 'ASKS=2 ANSWERS=2', 'FAULT_SEAL', 'PROOF'),
    'the challenge is not looked at': ('messages', 'ASKS=2 ANSWERS=2', 'FAULT_CHALLENGE', 'PROOF'),
    'an ACCEPT of another attempt': ('messages', 'ASKS=4 ANSWERS=4', 'FAULT_ATTEMPT', 'PROOF'),
    'the first PROBE may come from anywhere': ('messages', 'ASKS=2 ANSWERS=2', 'FAULT_FROZEN', 'FROZEN'),
    'a RESET of an older boot is believed': ('messages', 'ASKS=2 ANSWERS=2 RESTARTS', 'FAULT_BOOT', 'RESET'),
    'row T23 is missing': ('messages', 'ASKS=2 ANSWERS=2 MEASURES', (
        'fsm.def', 'JUMP_MOVE(T23, RECOVERING_BOUND, TRANSPORT_DEAD, CLIENT, RECOVERING_UNBOUND, R(TRANSPORT_DEAD))',
        'JUMP_ILLEGAL(RECOVERING_BOUND, TRANSPORT_DEAD)'), 'ROW'),
    'a fenced path is said to be dead twice': ('paths', '', 'FAULT_FENCED', 'ROW'),
}


def arguments(parser):
    parser.add_argument('--long', action='store_true', help='larger bounds; minutes and up to 2 GB')
    parser.add_argument('--self-test', action='store_true', help='only the planted faults')


def _run(command, folder, status=(0,), environment=None):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors='replace', check=False,
                          env={**os.environ, **(environment or {})})
    if done.returncode not in status:
        raise tree.Broken(f'failed in {folder}: {" ".join(command)}\n{(done.stdout + done.stderr)[-4000:]}')
    return done.stdout


_CORE_FILES = ('fsm.c', 'fsm.def', 'session.c', 'replay.c', 'health.c')


def _folder(name):
    """A new folder with the models and what they use of the core; copies, so that a line may be changed."""
    folder = os.path.join(_BUILD, re.sub(r'\W+', '-', name))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_SOURCES, folder)
    for file in _CORE_FILES:
        shutil.copy(os.path.join(_CORE, file), folder)
    return folder


def _compile(folder, output, *words, optimise='-O2'):
    _run(['gcc', '-std=gnu11', optimise, '-w', '-I', os.path.join(_CORE, 'include'), '-iquote', _CORE, '-o', output, *words], folder)


class Search:
    """One model at one set of bounds, walked through to the end or to the first broken promise.

    @param shortest  breadth first: more memory, and the shortest way to what is broken
    """

    def __init__(self, name, model, bounds, fault=None, shortest=False):
        self.folder = folder = _folder(name)
        defines = [f'-D{word}' for word in bounds.split()]
        if isinstance(fault, tuple):
            self._change(*fault)
        elif fault:
            defines.append(f'-D{fault}')
        _run(['spin', *defines, '-a', f'{model}.pml'], folder)
        if model in LIVENESS:
            how, words = ('-DNFAIR=4', '-DCOLLAPSE'), ('-a', '-f')
        else:
            how, words = ('-DSAFETY', '-DBFS' if shortest else '-DCOLLAPSE'), ()
        _compile(folder, 'search', *defines, *how, '-DNOREDUCE', f'-DMEMLIM={_MEMORY}', 'pan.c', f'{model}.c', 'step.c',
                 *(file for file in _CORE_FILES if file.endswith('.c')),
                 optimise='-O0' if fault else '-O2')  # a fault is found within a few thousand states
        text = _run(['./search', *words, '-m1000000', '-n', *(('-w20',) if fault else ())], folder)
        with open(os.path.join(folder, 'search.log'), 'w', encoding='utf-8') as file:
            file.write(text)
        self.rows = set(re.findall(r'^row (.*)$', text, re.M))
        broken = re.search(r'^pan:\d+: (?:broken (\w+): )?(.*?)(?: \(at depth \d+\))?$', text, re.M)
        self.broken, self.what = None, ''
        if broken:
            self.broken, self.what = broken[1] or ('I10' if broken[2] == 'acceptance cycle' else 'search'), broken[2]
        elif 'errors: 0' not in text or re.search('not completed|search depth too small|out of memory', text):
            self.broken, self.what = 'search', 'it did not come to its end: search.log'
        self.trail = self._trail(model) if broken else None

        def number(pattern):
            found = re.search(pattern, text, re.M)
            return float(found[1]) if found else 0
        self.states, self.transitions = int(number(r'^\s*(\S+) states, stored')), int(number(r'^\s*(\S+) transitions'))
        self.depth, self.megabytes = int(number(r'depth reached (\d+)')), number(r'^\s*(\S+)\s+total actual memory')
        self.seconds = number(r'^pan: elapsed time (\S+)')

    def _change(self, name, old, new):
        path = os.path.join(self.folder, name)
        with open(path, encoding='utf-8') as file:
            text = file.read()
        if text.count(old) != 1:
            raise tree.Broken(f'core/{name} has no such line any more: {old}')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace(old, new))

    def _trail(self, model):
        """The way to the broken promise, one line for each event."""
        text = _run(['./search', '-r', f'{model}.pml.trail', '-n'], self.folder, status=range(256), environment={'MODEL_TRAIL': '1'})
        path = os.path.join(self.folder, 'trail.txt')
        with open(path, 'w', encoding='utf-8') as file:
            file.writelines(line + '\n' for line in text.splitlines() if re.match(r' *([a-z]+|node \d): |pan:\d+: |.*START OF CYCLE', line)
                            and not line.startswith('spin:'))
        return os.path.relpath(path, tree.REPOSITORY)


def _models(options):
    """How many promises held and did not; the rows that were taken."""
    passed = failed = 0
    rows = set()
    print(f'{"model":<24}{"states":>12}{"transitions":>13}{"depth":>7}{"MB":>7}{"s":>7}  promises')
    for name, (model, daily, longer, promises) in MODELS.items():
        bounds = longer if options.long else daily
        search = Search(name, model, bounds)
        rows |= search.rows
        line = f'{name:<24}{search.states:>12}{search.transitions:>13}{search.depth:>7}{search.megabytes:>7.0f}{search.seconds:>7.1f}'
        if search.broken:
            failed += 1
            if search.trail and model not in LIVENESS:
                search = Search(f'{name} shortest', model, bounds, shortest=True)
            print(f'{line}  BROKEN {search.broken}: {search.what}\n    the way there: {search.trail or search.folder}', flush=True)
        else:
            passed += len(promises.split())
            print(f'{line}  {promises} hold ({bounds})', flush=True)
    return passed, failed, rows


def _faults():
    passed = failed = 0

    def plant(what):
        return Search(f'fault {what}', *FAULTS[what][:3])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:  # they are compilers more than searches
        searches = pool.map(plant, FAULTS)
    for (what, (_, _, _, promise)), search in zip(FAULTS.items(), searches):
        if search.broken == promise:
            passed += 1
            print(f'found: {what}: {promise}, {search.what}', flush=True)
        else:
            failed += 1
            print(f'NOT FOUND: {what}: should break {promise}, but {search.broken or "nothing"} was broken', flush=True)
    return passed, failed


def _rows(reached):
    """Every row that a role may take is taken in some model, or stands with its reason in tests/model/unreached."""
    folder = _folder('rows')
    _compile(folder, 'rows', 'rows.c', 'fsm.c')
    rows = [line.split() for line in _run(['./rows'], folder).splitlines()]
    known = {}
    with open(os.path.join(_SOURCES, 'unreached'), encoding='utf-8') as file:
        for line in file:
            if line.strip() and not line.startswith('#'):
                role, mode, event, why = line.split(None, 3)
                known[role, mode, event] = why.strip()
    missed = {(role, mode, event): name for role, mode, event, name in rows if f'{role} {mode} {event}' not in reached}
    for cell in missed:
        if cell not in known:
            print(f'NOT REACHED: {missed[cell]}: {" ".join(cell)}')
    stale = [cell for cell in known if cell not in missed]
    for cell in stale:
        print(f'tests/model/unreached names what is reached or is no row: {" ".join(cell)}')
    print(f'rows: {len(rows) - len(missed)} of {len(rows)} taken, the others are in tests/model/unreached')
    return not stale and all(cell in known for cell in missed)


def run(options):
    if not shutil.which('spin'):
        raise tree.Broken('spin is not installed: tools/deps install')
    passed = failed = 0
    if not options.self_test:
        passed, failed, rows = _models(options)
        whole = _rows(rows)
        passed, failed = passed + whole, failed + (not whole)
    found, missed = _faults()
    return passed + found, failed + missed
