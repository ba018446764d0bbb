# SPDX-License-Identifier: GPL-2.0-or-later
"""The deterministic simulation: hundreds of clients and several gateways, real engines, virtual time.

One seed is one world of about 25 session-hours (--hours): its clients, NATs, policies and everything that goes wrong are drawn
from it, and after every step the invariants are looked at (docs/proof.md, "Simulation"). Every seed is run twice, in two
processes, and must say the same both times. A seed that fails is shrunk to a short script, which is kept in
build/sim/failed and runs again with --replay FILE; --trace tells everything that happens in it.
"""
import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

from . import tree

SUMMARY = 'simulated worlds full of faults, all invariants after every step'
# Small enough that progress is seen and two cores end together.
CHUNK = 4
PROGRESS_EVERY = 10
_LINE = re.compile(r'^seed (\d+) (ok|FAILED) hours ([\d.]+) sessions (\d+) ended (\d+) switches (\d+) steps (\d+) datagrams (\d+) '
                   r'refused (\d+) checks (\d+) hash ([0-9a-f]{16})$')
_COUNTS = ('sessions', 'ended', 'switches', 'steps', 'datagrams', 'refused', 'checks')


def _between(kind, least, most):
    """What argparse takes as a type: a number in a range."""
    def number(text):
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f'{text} is not in {least} .. {most}')
        return value
    number.__name__ = 'number'
    return number


def arguments(parser):
    parser.add_argument('--seeds', type=_between(int, 1, 10**9), default=50, metavar='N', help='how many (50)')
    parser.add_argument('--first', type=_between(int, 0, 10**18), default=1, metavar='SEED', help='the first of them (1)')
    parser.add_argument('--hours', type=_between(float, 0.1, 100000), default=25, metavar='H', help='session-hours of one seed, about (25)')
    parser.add_argument('--least', type=float, default=0, metavar='H', help='fail if fewer session-hours were simulated in all')
    parser.add_argument('--once', action='store_true', help='do not run each seed a second time')
    parser.add_argument('--json', action='store_true', help='the sums as one line of JSON, before the last line')
    parser.add_argument('--replay', metavar='FILE', help='run one script')
    parser.add_argument('--trace', action='store_true', help='with --replay: tell all that happens, on stderr')


def _chunk(program, first, count, hours):
    """{seed: (ok, hours, counts, hash, what is broken)} of some seeds"""
    done = subprocess.run([program, '--first', str(first), '--seeds', str(count), '--hours', str(hours), '--hash'],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True, errors='replace')
    found, last = {}, None
    for line in done.stdout.splitlines():
        if match := _LINE.match(line):
            last = int(match[1])
            found[last] = [match[2] == 'ok', float(match[3]), [int(n) for n in match.groups()[3:10]], match[11], '']
        elif last is not None:
            found[last][4] += line.strip()
    if len(found) != count:
        raise tree.Broken(f'the simulation ended in seed {first + len(found)} with status {done.returncode}:\n{done.stderr[-2000:]}')
    return found


def _shrink(program, folder, seed, hours):
    kept = os.path.join(folder, 'failed')
    os.makedirs(kept, exist_ok=True)
    path = os.path.join(kept, f'seed-{seed}.sim')
    if os.path.exists(path):
        os.remove(path)  # of another run
    done = subprocess.run([program, '--first', str(seed), '--hours', str(hours), '--shrink', kept], stdout=subprocess.DEVNULL, check=False)
    if not os.path.exists(path):
        print(f'  it could not be shrunk: status {done.returncode}')
    else:
        with open(path, encoding='utf-8') as script:
            print(''.join('    ' + line for line in script.readlines()[:30]), end='')
        print(f'  again: tools/proof sim --replay {os.path.relpath(path, tree.REPOSITORY)} --trace')


def _all(options, program):
    """The seeds in parallel, each twice: @return ({seed: result}, [seeds that said something else the second time])"""
    chunks = [(at, min(CHUNK, options.first + options.seeds - at))
              for at in range(options.first, options.first + options.seeds, CHUNK)]
    work = chunks if options.once else chunks * 2
    results, differ, began, told = {}, [], time.monotonic(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(_chunk, program, first, count, options.hours) for first, count in work]
        try:
            for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
                for seed, result in future.result().items():
                    if seed in results and results[seed][3] != result[3]:
                        differ.append(seed)
                    results[seed] = result
                if time.monotonic() - told >= PROGRESS_EVERY or number == len(futures):
                    told = time.monotonic()
                    failed = sum(1 for result in results.values() if not result[0])
                    print(f'  {number} of {len(futures)} parts after {told - began:.0f} s, '
                          f'{sum(result[1] for result in results.values()):.0f} session-hours, {failed} failed', file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results, differ


def run(options):
    if options.trace and not options.replay:
        raise tree.Broken('--trace goes with --replay: a seed would tell too much; build/sim/tests/sim/simulation --script SEED prints its script')
    folder = tree.built('sim', ['tests/sim/simulation'], (), {'CFLAGS': '-O2 -g'})
    program = os.path.join(folder, 'tests/sim/simulation')
    if options.replay:
        done = subprocess.run([program, '--replay', options.replay, '--hash', *(['--trace'] if options.trace else [])], check=False)
        if done.returncode not in (0, 1):
            raise tree.Broken(f'{options.replay} could not be run')
        return 1 - done.returncode, done.returncode
    results, differ = _all(options, program)
    failed = sorted(seed for seed, result in results.items() if not result[0])
    for seed in failed[:5]:
        print(f'seed {seed} FAILED: {results[seed][4]}')
        _shrink(program, folder, seed, options.hours)
    for seed in failed[5:]:
        print(f'seed {seed} FAILED: {results[seed][4]}')
    for seed in differ:
        print(f'seed {seed} said something else the second time (I15)')
    hours = sum(result[1] for result in results.values())
    sums = dict(zip(_COUNTS, (sum(column) for column in zip(*(result[2] for result in results.values())))))
    if options.json:
        print(json.dumps({'seeds': len(results), 'failed': failed, 'differ': differ, 'hours': round(hours, 1), **sums}))
    print(f'{hours:.0f} session-hours in {len(results)} seeds: ' + ', '.join(f'{count} {name}' for name, count in sums.items()))
    bad = len(set(failed) | set(differ))
    short = options.least > 0
    if short and hours < options.least:
        print(f'TOO FEW session-hours: at least {options.least:.0f}')
        return len(results) - bad, bad + 1
    return len(results) - bad + short, bad
