# SPDX-License-Identifier: GPL-2.0-or-later
"""Every test that docs/attacks.md names, or those of some rows.

The engine's tests run in build/attacks, under ASan and UBSan; the lab's scenarios as `tools/lab` runs them, as root, with the
plugins of build/stage (tools/build --destdir build/stage). A scenario that shows several rows runs once. One line each.
"""
import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess
import sys
import time

from . import tree

SUMMARY = 'the attacks and faults of docs/attacks.md, each with its tests'
_HOSTS = ('engine', 'openvpn', 'strongswan')
_LIMIT_S = 900


def arguments(parser):
    parser.add_argument('row', nargs='*', metavar='ID', help='rows, as A11 (default: all)')
    parser.add_argument('--host', choices=_HOSTS, help='only what shows it there')
    parser.add_argument('--list', action='store_true', help='print what would run')


def _generator():
    loader = importlib.machinery.SourceFileLoader('gen_attacks', os.path.join(tree.REPOSITORY, 'tools/gen-attacks'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('gen_attacks', loader))
    loader.exec_module(module)
    return module


def _chosen(options):
    """[(host, test, rows)] in the order of the table; each test once."""
    generator = _generator()
    try:
        table = generator.rows(tree.REPOSITORY)
        found = generator.tests(tree.REPOSITORY, table)
    except generator.Wrong as wrong:
        raise tree.Broken(str(wrong)) from None
    unknown = [name for name in options.row if name not in table]
    if unknown:
        raise tree.Broken(f'no such row: {", ".join(unknown)}')
    jobs = {}
    for host in [options.host] if options.host else _HOSTS:
        for name in options.row or table:
            for kind in ('engine', 'unit') if host == 'engine' else (host,):
                for test in found[name][kind]:
                    jobs.setdefault((host, test), []).append(name)
    return [(host, test, rows) for (host, test), rows in jobs.items()]


def _programs(jobs):
    """{test: None if it passed, else why} of all engine tests, each program once."""
    wanted = {}
    for host, test, _ in jobs:
        if host == 'engine':
            wanted.setdefault(test[0], []).append(test)
    if not wanted:
        return {}
    folder = tree.built('attacks', [f'tests/unit/{program}' for program in wanted] + ['jumpctl'], ['--enable-sanitizers'])
    verdicts = {}
    for program, tests in wanted.items():
        # What leaks on purpose in the tests of OpenVPN's entry points is the check's own business.
        done = subprocess.run([f'tests/unit/{program}'], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False, text=True, errors='replace', timeout=_LIMIT_S,
                              env={**os.environ, 'srcdir': tree.REPOSITORY})
        for test in tests:
            line = re.search(rf'^\s*Test: {re.escape(test[1])} ?\.\.\.(.*)$', done.stdout, re.M)
            passed = done.returncode == 0 or line and 'passed' in line.group(1)
            if done.returncode == 77:
                verdicts[test] = 'skipped'
            else:
                verdicts[test] = None if passed else f'{program} ended with status {done.returncode}'
    return verdicts


def _variant(entry, words):
    """The words of a run: those behind the id; else those of the check's first run of it."""
    return words or (list(entry.variants[0]) if entry.variants else [])


def _lab(host, test):
    """None if every sentence holds, else what does not."""
    from lab import scenarios  # noqa: F401  (fills the list; only here, because it takes a moment)
    from lab.story import SCENARIOS
    name, *words = test.split()
    command = [sys.executable, os.path.join(tree.REPOSITORY, 'tools/lab'), host, name, '--json', '--hole', '20',
               *_variant(SCENARIOS[host][name], words)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f'not over after {_LIMIT_S} s'
    try:
        wrong = json.loads(done.stdout)['failed']
    except (json.JSONDecodeError, KeyError):
        wrong = ['it gives a result: ' + ' '.join(done.stderr.split('\n')[-3:])]
    return '; '.join(wrong) or (None if done.returncode == 0 else f'status {done.returncode}')


def _words(host, test):
    return f'{test[0]}: {test[1]}' if host == 'engine' else f'lab {host} {test}'


def run(options):
    jobs = _chosen(options)
    if options.list:
        for host, test, rows in jobs:
            print(f'{" ".join(rows)}  {_words(host, test)}')
        sys.exit(0)  # nothing ran, so nothing passed
    if os.geteuid() != 0 and any(host != 'engine' for host, _, _ in jobs):
        raise tree.Broken('the lab needs root: run it with sudo, or with --host engine')
    verdicts, failed = _programs(jobs), 0
    for host, test, rows in jobs:
        begun = time.monotonic()
        wrong = verdicts[test] if host == 'engine' else _lab(host, test)
        failed += wrong is not None
        took = '' if host == 'engine' else f'  ({time.monotonic() - begun:.0f} s)'
        print(f'{"FAILED" if wrong else "passed"}  {" ".join(rows)}  {_words(host, test)}{took}'
              + (f'\n        {wrong}' if wrong else ''), flush=True)
    return len(jobs) - failed, failed
