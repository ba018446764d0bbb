# SPDX-License-Identifier: GPL-2.0-or-later
"""Every scenario once, with the plugin, with short holes: does what must hold, hold?

Owns the order of the runs and the verdict. Each run is a process of its own, so that one that
fails takes nothing else along. Read next: cli.py.
"""
import concurrent.futures
import json
import os
import subprocess
import sys
import threading
import time

from .report import paint
from .run import say
from .story import SCENARIOS

# Two at a time: the scenarios mostly wait, but a busy machine must not disturb what they see.
_AT_ONCE = 2
_HOLE_S = '20'
_LIMIT_S = 300


class _Runs:
    """The child processes, so that a signal to us reaches each of them."""

    def __init__(self, program, common):
        self._program = program
        self._common = common
        self._children = set()
        self._lock = threading.Lock()
        self._stopping = False

    def one(self, host, name, words):
        """(label, sentences that do not hold, what the run wrote on stderr, seconds)"""
        label = ' '.join([host, name, *words])
        begun = time.monotonic()
        with self._lock:
            if self._stopping:
                return label, ['not run'], '', 0
            child = subprocess.Popen([sys.executable, self._program, host, name, '--json', '--hole', _HOLE_S,
                                      *self._common, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, start_new_session=True)
            self._children.add(child)
        try:
            out, errors = child.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            child.terminate()
            out, errors = child.communicate()
            return label, [f'ends within {_LIMIT_S} s'], errors, time.monotonic() - begun
        finally:
            with self._lock:
                self._children.discard(child)
        try:
            wrong = json.loads(out)['failed']
        except (json.JSONDecodeError, KeyError):
            wrong = ['it gives a result']
        if child.returncode != 0 and not wrong:
            wrong = [f'it ends with status 0 ({child.returncode})']
        return label, wrong, errors, time.monotonic() - begun

    def stop(self):
        """Children clean up after themselves on SIGTERM; wait for that."""
        with self._lock:
            self._stopping = True
            children = list(self._children)
        for child in children:
            if child.poll() is None:
                child.terminate()


def _show(outcome):
    label, wrong, errors, took = outcome
    print(f'{paint("failed", "red") if wrong else paint("passed", "green")}  {label}  ({took:.0f} s)', flush=True)
    for sentence in wrong:
        print(f'        does not hold: {sentence}', flush=True)
    if wrong and errors:
        say(errors.rstrip())
    return not wrong


def check(program, common, hosts, only=()):
    """Returns the exit status. common: words for every run; only: names of scenarios, default all of these hosts."""
    chosen = [entry for host in hosts for name, entry in SCENARIOS[host].items() if not only or name in only]
    jobs = [(entry.alone, (entry.story.host, entry.name, words)) for entry in chosen for words in entry.variants]
    together, alone = ([job for is_alone, job in jobs if is_alone == wanted] for wanted in (False, True))
    # The longest first, so that none of them is left over at the end.
    together.sort(key=lambda job: job[1] not in ('configurations', 'hole', 'several-clients', 'uplink-idle', 'uplink-returns',
                                                'uplink-flaps', 'uplink-none', 'host-systemd', 'host-systemd-units'))
    runs = _Runs(os.path.abspath(program), common)
    passed = []
    pool = concurrent.futures.ThreadPoolExecutor(_AT_ONCE)
    try:
        futures = [pool.submit(runs.one, *job) for job in together]
        passed += [_show(future.result()) for future in concurrent.futures.as_completed(futures)]
        passed += [_show(runs.one(*job)) for job in alone]
    finally:
        runs.stop()
        pool.shutdown(cancel_futures=True)
    print(f'{sum(passed)} passed, {len(passed) - sum(passed)} failed', flush=True)
    return 0 if all(passed) else 1
