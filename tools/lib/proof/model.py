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
    'reattach': ('session', 'ASKS=4 ANSWERS=4', 'ASKS=5 ANSWERS=4', 'I1 I2 I8 PROOF FROZEN ROW'),
    'whole-life': ('session', 'ASKS=2 ANSWERS=2 MEASURES ENDS THIEF UPLINKS THIRD_PATH',
                   'ASKS=3 ANSWERS=3 MEASURES ENDS THIEF', 'I1 I2 I8 I12 PROOF FROZEN ROW'),
    'versions': ('session', 'ASKS=3 ANSWERS=3 VERSIONS ROLLBACK', 'ASKS=4 ANSWERS=4 VERSIONS ROLLBACK', 'I1 I2 I8 PROOF FROZEN ROW'),
    'restarts': ('session', 'ASKS=2 ANSWERS=2 RESTARTS ENDS', 'ASKS=3 ANSWERS=3 RESTARTS ENDS', 'I1 I2 I8 I12 PROOF FROZEN RESET ROW'),
}

# what: model, bounds, the fault (a define, or a row of core/fsm.def and what stands there instead), the promise it breaks
FAULTS = {
    'a session is made for a PROOF': ('session', 'ASKS=2 ANSWERS=2 RESTARTS', 'FAULT_CREATES', 'I2'),
    'the store does not compare revisions': ('session', 'ASKS=2 ANSWERS=2 THIEF', 'FAULT_REVISION', 'I8'),
    'a REQUEST may know more than we do': ('session', 'ASKS=3 ANSWERS=3 VERSIONS ROLLBACK', 'FAULT_VERSION', 'I8'),
    'the store\'s answer binds what has ended': ('session', 'ASKS=2 ANSWERS=2 ENDS', 'FAULT_ZOMBIE', 'I1'),
    'a counter may come again': ('session', 'ASKS=2 ANSWERS=2', 'FAULT_COUNTER', 'PROOF'),
    'the seal is not looked at': ('session', 'ASKS=2 ANSWERS=2', 'FAULT_SEAL', 'PROOF'),
    'the challenge is not looked at': ('session', 'ASKS=2 ANSWERS=2', 'FAULT_CHALLENGE', 'PROOF'),
    'an ACCEPT of another attempt': ('session', 'ASKS=4 ANSWERS=4', 'FAULT_ATTEMPT', 'PROOF'),
    'the first PROBE may come from anywhere': ('session', 'ASKS=2 ANSWERS=2', 'FAULT_FROZEN', 'FROZEN'),
    'a RESET of an older boot is believed': ('session', 'ASKS=2 ANSWERS=2 RESTARTS', 'FAULT_BOOT', 'RESET'),
    'row T4 keeps the dead path': ('session', 'ASKS=2 ANSWERS=2', (
        'JUMP_MOVE(T4, ATTACHED, TRANSPORT_DEAD, BOTH, RECOVERING_UNBOUND,', 'JUMP_MOVE(T4, ATTACHED, TRANSPORT_DEAD, BOTH, RECOVERING_BOUND,'), 'I1'),
    'row T22 lets the dead rise': ('session', 'ASKS=2 ANSWERS=2 ENDS', (
        'JUMP_STAY(T22, TERMINATED, REATTACH_VALID, BOTH)',
        'JUMP_MOVE(T22, TERMINATED, REATTACH_VALID, BOTH, RECOVERING_UNBOUND, R(REATTACH_SUCCESS))'), 'I12'),
    'row T23 is missing': ('session', 'ASKS=2 ANSWERS=2 MEASURES', (
        'JUMP_MOVE(T23, RECOVERING_BOUND, TRANSPORT_DEAD, CLIENT, RECOVERING_UNBOUND, R(TRANSPORT_DEAD))',
        'JUMP_ILLEGAL(RECOVERING_BOUND, TRANSPORT_DEAD)'), 'ROW'),
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


def _folder(name):
    """A new folder with the models and the core's table; the table is a copy so that a row of it may be changed."""
    folder = os.path.join(_BUILD, re.sub(r'\W+', '-', name))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_SOURCES, folder)
    for name in ('fsm.c', 'fsm.def'):
        shutil.copy(os.path.join(_CORE, name), folder)
    return folder


def _compile(folder, output, *words):
    _run(['gcc', '-std=gnu11', '-O2', '-w', '-I', os.path.join(_CORE, 'include'), '-I', '.', '-o', output, *words], folder)


class Search:
    """One model at one set of bounds, walked through to the end or to the first broken promise."""

    def __init__(self, name, model, bounds, fault=None):
        self.folder = folder = _folder(name)
        defines = [f'-D{word}' for word in bounds.split()]
        if isinstance(fault, tuple):
            self._change_row(*fault)
        elif fault:
            defines.append(f'-D{fault}')
        _run(['spin', *defines, '-a', f'{model}.pml'], folder)
        _compile(folder, 'search', *defines, '-DSAFETY', '-DNOREDUCE', '-DCOLLAPSE', f'-DMEMLIM={_MEMORY}',
                 'pan.c', f'{model}.c', 'step.c', 'fsm.c')
        text = _run(['./search', '-m1000000', '-n'], folder)
        with open(os.path.join(folder, 'search.log'), 'w', encoding='utf-8') as file:
            file.write(text)
        self.rows = set(re.findall(r'^row (.*)$', text, re.M))
        broken = re.search(r'^pan:\d+: (?:broken (\w+): )?(.*?)(?: \(at depth \d+\))?$', text, re.M)
        self.broken, self.what = (broken[1] or 'search', broken[2]) if broken else (None, '')
        complete = 'errors: 0' in text and not re.search('not completed|search depth too small|out of memory', text)
        if not complete and not broken:
            self.broken, self.what = 'search', 'it did not come to its end: search.log'
        self.trail = self._trail(model) if broken else None

        def number(pattern):
            found = re.search(pattern, text, re.M)
            return float(found[1]) if found else 0
        self.states, self.transitions = int(number(r'^\s*(\S+) states, stored')), int(number(r'^\s*(\S+) transitions'))
        self.depth, self.megabytes = int(number(r'depth reached (\d+)')), number(r'^\s*(\S+)\s+total actual memory')
        self.seconds = number(r'^pan: elapsed time (\S+)')

    def _change_row(self, row, instead):
        path = os.path.join(self.folder, 'fsm.def')
        with open(path, encoding='utf-8') as file:
            text = file.read()
        if text.count(row) != 1:
            raise tree.Broken(f'core/fsm.def has no such row any more: {row}')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace(row, instead))

    def _trail(self, model):
        """The way to the broken promise, one line for each event."""
        text = _run(['./search', '-r', f'{model}.pml.trail', '-n'], self.folder, status=range(256), environment={'MODEL_TRAIL': '1'})
        path = os.path.join(self.folder, 'trail.txt')
        with open(path, 'w', encoding='utf-8') as file:
            file.writelines(line + '\n' for line in text.splitlines()
                            if re.match(r'(    )?(\w+): |pan:\d+: broken', line) and not line.startswith('spin:'))
        return os.path.relpath(path, tree.REPOSITORY)


def _models(options):
    """How many promises held and did not; the rows that were taken."""
    passed = failed = 0
    rows = set()
    print(f'{"model":<12}{"states":>12}{"transitions":>13}{"depth":>7}{"MB":>7}{"s":>7}  promises')
    for name, (model, daily, longer, promises) in MODELS.items():
        bounds = longer if options.long else daily
        search = Search(name, model, bounds)
        rows |= search.rows
        line = f'{name:<12}{search.states:>12}{search.transitions:>13}{search.depth:>7}{search.megabytes:>7.0f}{search.seconds:>7.1f}'
        if search.broken:
            failed += 1
            print(f'{line}  BROKEN {search.broken}: {search.what}\n    the way there: {search.trail or search.folder}', flush=True)
        else:
            passed += len(promises.split())
            print(f'{line}  {promises} hold ({bounds})', flush=True)
    return passed, failed, rows


def _faults():
    passed = failed = 0
    for what, (model, bounds, fault, promise) in FAULTS.items():
        search = Search(f'fault {what}', model, bounds, fault)
        if search.broken == promise:
            passed += 1
            print(f'found: {what}: {promise}, {search.what}', flush=True)
        else:
            failed += 1
            print(f'NOT FOUND: {what}: should break {promise}, but {search.broken or "nothing"} was broken', flush=True)
    return passed, failed


def run(options):
    if not shutil.which('spin'):
        raise tree.Broken('spin is not installed: tools/deps install')
    passed = failed = 0
    if not options.self_test:
        passed, failed, _ = _models(options)
    found, missed = _faults()
    return passed + found, failed + missed
