# SPDX-License-Identifier: GPL-2.0-or-later
"""Every test that docs/attacks.md names, or those of some rows.

The engine's tests run in build/attacks, under ASan and UBSan; the lab's scenarios as `tools/lab` runs them, as root, with the
plugins of build/stage (tools/build --destdir build/stage). A scenario that shows several rows runs once. One line each, and the
sums at the end: one that hangs is ended, and who stops it (Ctrl-C, SIGTERM) gets what was not run as failed.
"""
import importlib.machinery
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time

from . import tree

SUMMARY = 'the attacks and faults of docs/attacks.md, each with its tests'
_HOSTS = ('engine', 'openvpn', 'strongswan')
_LIMIT_S = 900
_CLEANING_S = 60  # that a stopped scenario has for taking its network away


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
        status, out, _ = _ended([f'tests/unit/{program}'], cwd=folder, stderr=subprocess.STDOUT,
                                env={**os.environ, 'srcdir': tree.REPOSITORY})
        verdicts |= {test: _verdict(program, test[1], status, out) for test in tests}
    return verdicts


def _verdict(program, name, status, out):
    """None if this test of a program passed, else why not. One whose line is missing did not run, whatever the program says."""
    line = re.search(rf'^\s*Test: {re.escape(name)} ?\.\.\.(.*)$', out, re.M)
    if status is None:
        return f'{program} was not over after {_LIMIT_S} s'
    if status == 77:
        return 'skipped'
    if line is None:
        return f'{program} did not run it (status {status})'
    return None if status == 0 or 'passed' in line.group(1) else f'{program} ended with status {status}'


def _ended(command, **more):
    """(status, stdout, stderr) of a command; status None: it was stopped, since it did not end. Of us being stopped it hears once."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors='replace',
                          start_new_session=True, **more) as child:
        try:
            out, errors = child.communicate(timeout=_LIMIT_S)
            return child.returncode, out, errors or ''
        except subprocess.TimeoutExpired:
            return None, *_stopped(child)
        except KeyboardInterrupt:
            _stopped(child)
            raise


def _stopped(child):
    """What it said to its end. Killed at once, a scenario would leave its namespaces behind."""
    child.terminate()
    try:
        out, errors = child.communicate(timeout=_CLEANING_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, errors = child.communicate()
    return out, errors or ''


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
    status, out, errors = _ended(command, stderr=subprocess.PIPE)
    if status is None:
        return f'not over after {_LIMIT_S} s'
    try:
        wrong = json.loads(out)['failed']
    except (json.JSONDecodeError, KeyError):
        wrong = re.findall('^  does not hold: (.*)$', errors, re.M) + ['it gives a result: ' + ' '.join(errors.split('\n')[-3:])]
    return '; '.join(wrong) or (None if status == 0 else f'status {status}')


def _words(host, test):
    return f'{test[0]}: {test[1]}' if host == 'engine' else f'lab {host} {test}'


def run(options):
    jobs, done = _chosen(options), []
    if options.list:
        for host, test, rows in jobs:
            print(f'{" ".join(rows)}  {_words(host, test)}')
        sys.exit(0)  # nothing ran, so nothing passed
    if os.geteuid() != 0 and any(host != 'engine' for host, _, _ in jobs):
        raise tree.Broken('the lab needs root: run it with sudo, or with --host engine')
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    passed = 0
    try:
        verdicts = _programs(jobs)
        for host, test, rows in jobs:
            begun = time.monotonic()
            wrong = verdicts[test] if host == 'engine' else _lab(host, test)
            passed += wrong is None
            took = '' if host == 'engine' else f'  ({time.monotonic() - begun:.0f} s)'
            print(f'{"FAILED" if wrong else "passed"}  {" ".join(rows)}  {_words(host, test)}{took}'
                  + (f'\n        {wrong}' if wrong else ''), flush=True)
            done.append(test)
    except KeyboardInterrupt:
        print(f'stopped: {len(jobs) - len(done)} of {len(jobs)} did not run to their end', flush=True)
    return passed, len(jobs) - passed
