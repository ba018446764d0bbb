# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzzes each target of tests/fuzz for so many seconds, one after another.

First a target with a planted fault (fuzz_wire.c, JUMP_FUZZ_PLANT), which the fuzzer must find: else nothing that follows would
mean anything. Begins from tests/fuzz/corpus and from what earlier runs have found, which stays in build/fuzz/work (afl:
build/fuzz-afl/work). What stopped a target is named with the command that shows it again.

--coverage prints afterwards, for each target, which lines of the files under test its corpus runs (gcovr, another build).
"""
import json
import os
import re
import shutil
import subprocess
import time

from . import tree

SUMMARY = 'fuzz the readers of bytes from elsewhere, and whole lives of sessions'
CORPUS = os.path.join(tree.REPOSITORY, 'tests/fuzz/corpus')

# Longest input, and the files under test.
TARGETS = {
    'wire': (1400, ('core/wire.c',)),
    'sealed': (600, ('core/engine.c', 'core/client.c', 'core/server.c', 'core/stranger.c', 'core/seal.c')),
    'stateful': (800, ('core/engine.c', 'core/client.c', 'core/server.c', 'core/prober.c', 'core/session.c', 'core/stranger.c')),
    'policy': (4096, ('adapters/system/policy_file.c', 'core/policy.c')),
    'audit': (4096, tuple(f'tools/jumpctl/audit_{part}.c' for part in ('read', 'verify', 'replay', 'plot', 'svg'))),
    'control': (4500, ('adapters/system/control.c',)),
    'state': (512, ('adapters/system/state.c',)),
    'netlink': (4096, ('adapters/system/netlink.c',)),
    'envelope': (1500, ('adapters/strongswan/envelope.c',)),
    'demux': (1500, ('adapters/openvpn/map.c', 'adapters/openvpn/map_peers.c', 'adapters/openvpn/map_addresses.c')),
    'management': (3000, ('adapters/openvpn/management.c',)),
}
PLANTED, PLANTED_SECONDS = 'planted', 600  # it ends when the fault is found: seconds, unless the machine is busy
ENGINES = {'libfuzzer': ('fuzz', 'clang'), 'afl': ('fuzz-afl', 'afl-clang-fast')}


def arguments(parser):
    parser.add_argument('seconds', type=int, metavar='SECONDS', help='for each target')
    parser.add_argument('--target', action='append', choices=sorted(TARGETS), help='only this one; may be given again')
    parser.add_argument('--engine', choices=sorted(ENGINES), default='libfuzzer')
    parser.add_argument('--coverage', action='store_true', help='then: what the corpus of each target runs of the files under test')


class Result:
    """One target's run: executions, edges, new inputs; the input that stopped it, and the end of what was said then."""

    def __init__(self):
        self.runs = self.edges = self.new = 0
        self.seconds = 0.0
        self.crash, self.words = None, ''

    def line(self, name):
        return f'{name:11} {self.runs:>10} runs {self.runs / max(self.seconds, 0.001):>8.0f}/s {self.edges:>6} edges {self.new:>5} new'


def _environment(more=()):
    """Targets that need files have them in memory, where fsync costs nothing."""
    memory = {'TMPDIR': '/dev/shm'} if os.access('/dev/shm', os.W_OK) else {}
    return {**os.environ, **memory, **dict(more)}


def _number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def _dictionary(name):
    path = os.path.join(tree.REPOSITORY, 'tests/fuzz/dict', f'{name}.dict')
    return path if os.path.exists(path) else None


def _seeds(name):
    return os.path.join(CORPUS, 'wire' if name == PLANTED else name)


def _longest(name):
    return TARGETS['wire' if name == PLANTED else name][0]


def _libfuzzer(folder, name, seconds):
    work, result = os.path.join(folder, 'work', name), Result()
    os.makedirs(work, exist_ok=True)
    command = [os.path.join(folder, f'tests/fuzz/fuzz_{name}'), work, _seeds(name), f'-max_total_time={seconds}',
               f'-max_len={_longest(name)}', '-timeout=10', '-print_final_stats=1', f'-artifact_prefix={folder}/{name}-']
    if _dictionary(name):
        command.append(f'-dict={_dictionary(name)}')
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          errors='replace', preexec_fn=lambda: os.nice(10))
    result.seconds = time.monotonic() - began
    result.runs = _number(r'stat::number_of_executed_units: (\d+)', done.stdout) or _number(r'#(\d+)', done.stdout)
    result.edges = _number(r' cov: (\d+)', done.stdout)
    result.new = _number(r'stat::new_units_added: +(\d+)', done.stdout)
    if done.returncode:
        found = re.findall(r'Test unit written to (\S+)', done.stdout)
        result.crash = found[-1] if found else '(no input was written)'
        result.words = done.stdout
    return result


def _afl(folder, name, seconds):
    out, result = os.path.join(folder, 'work', name), Result()
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    command = ['afl-fuzz', '-i', _seeds(name), '-o', out, '-V', str(seconds), '-m', 'none', '-t', '10000', '-G', str(_longest(name))]
    if _dictionary(name):
        command += ['-x', _dictionary(name)]
    environment = _environment({'AFL_NO_UI': '1', 'AFL_SKIP_CPUFREQ': '1', 'AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES': '1',
                                'AFL_NO_AFFINITY': '1', **({'AFL_BENCH_UNTIL_CRASH': '1'} if name == PLANTED else {})})
    done = subprocess.run([*command, '--', os.path.join(folder, f'tests/fuzz/fuzz_{name}')], cwd=folder, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, errors='replace',
                          preexec_fn=lambda: os.nice(10))
    try:
        with open(os.path.join(out, 'default/fuzzer_stats'), encoding='utf-8') as file:
            stats = dict(re.findall(r'^(\w+) +: (.*)$', file.read(), re.M))
    except FileNotFoundError:
        raise tree.Broken(f'afl-fuzz did not run {name}:\n{done.stdout[-2000:]}') from None
    result.seconds, result.runs = float(stats['run_time']), int(stats['execs_done'])
    result.edges, result.new = int(stats['edges_found']), int(stats['corpus_found'])
    for kind in ('crashes', 'hangs'):
        place = os.path.join(out, 'default', kind)
        inputs = sorted(entry for entry in os.listdir(place) if entry.startswith('id'))
        if inputs:
            result.crash = os.path.join(place, inputs[0])
    return result


def _tell(result, binary):
    for line in result.words.splitlines()[-40:]:
        if re.search(r'^fuzz: |ERROR: |SUMMARY: |runtime error|^ +#\d', line):
            print(f'    {line.strip()}')
    print(f'    stopped by {result.crash}\n    again: {binary} {result.crash}', flush=True)


def _coverage(names):
    """Prints a line for each target. What a target itself does to prepare is counted too: it runs the same code."""
    folder = tree.built('fuzz-coverage', [f'tests/fuzz/fuzz_{name}' for name in names], ('--enable-coverage', 'CFLAGS=-O0 -g'))
    for name in names:
        for at, _, files in os.walk(folder):
            for file in files:
                if file.endswith('.gcda'):
                    os.unlink(os.path.join(at, file))
        inputs = [_seeds(name)] + [work for work in [os.path.join(tree.REPOSITORY, 'build/fuzz/work', name)] if os.path.isdir(work)]
        subprocess.run([os.path.join(folder, f'tests/fuzz/fuzz_{name}'), *inputs], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        filters = [word for file in TARGETS[name][1] for word in ('--filter', os.path.join(tree.REPOSITORY, file))]
        done = subprocess.run(['gcovr', '-r', tree.REPOSITORY, '--object-directory', folder, '--json-summary', '-', *filters, folder],
                              cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, encoding='utf-8')
        for file in json.loads(done.stdout)['files']:
            print(f'{name:11} {file["filename"]}: {file["line_covered"]} of {file["line_total"]} lines, '
                  f'{file["branch_covered"]} of {file["branch_total"]} branches', flush=True)


def run(options):
    folder, compiler = ENGINES[options.engine]
    if shutil.which(compiler) is None:
        raise tree.Broken(f'{compiler} is not there: tools/deps install long')
    names = options.target or list(TARGETS)
    run_one = _libfuzzer if options.engine == 'libfuzzer' else _afl
    folder = tree.built(folder, [f'tests/fuzz/fuzz_{name}' for name in [PLANTED, *names]], ('--enable-fuzzers',), {'CC': compiler})
    passed = failed = 0
    for name in [PLANTED, *names]:
        result = run_one(folder, name, options.seconds if name != PLANTED else PLANTED_SECONDS)
        good = (result.crash is not None) == (name == PLANTED)
        passed, failed = passed + good, failed + (not good)
        print(result.line(name) + ('' if good else '  FAILED') + (': found' if good and name == PLANTED else ''), flush=True)
        if not good and name == PLANTED:
            print('    the planted fault was not found: this fuzzer finds nothing')
        elif not good:
            _tell(result, os.path.join(folder, f'tests/fuzz/fuzz_{name}'))
    if options.coverage:
        _coverage(names)
    return passed, failed
