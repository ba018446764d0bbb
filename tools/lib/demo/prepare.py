# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages and build, before anything is shown.

Owns how tools/deps and tools/build are called and what of their output people see.
"""
import os
import signal
import subprocess
import time

from lab.network import REPOSITORY
from lab.run import Fault

_LAST_LINES = 30


def _run(words, log_path, on_line=lambda line: None):
    """Run to the end, its output into a file; a Fault with the output's end if it fails."""
    last = []
    with open(log_path, 'w', encoding='utf-8') as log, subprocess.Popen(
            words, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors='replace', start_new_session=True) as child:
        try:
            for line in child.stdout:
                log.write(line)
                last = [*last, line][-_LAST_LINES:]
                on_line(line)
            status = child.wait()
        except BaseException:
            # As Ctrl-C in a terminal would: a package manager ends its step, make removes what is half done.
            os.killpg(child.pid, signal.SIGINT)
            raise
    if status != 0:
        raise Fault(f'{" ".join(words)} failed; the end of {log_path}:\n{"".join(last).rstrip()}')


def install(out):
    """Debian packages that are missing; silent when none is."""
    _run(['tools/deps', 'install'], f'{out}/deps.log',
         lambda line: print(line.rstrip(), flush=True) if line.startswith('deps: installing') else None)


def build(out, host):
    """Returns the install tree with plugin, jumpctl and policies."""
    if host == 'strongswan':  # silent where it is there already
        _run(['tools/strongswan-source'], f'{out}/source.log')
    print('building ... ', end='', flush=True)
    begun = time.monotonic()
    _run(['tools/build', '--destdir', 'build/stage'], f'{out}/build.log')
    print(f'{time.monotonic() - begun:.0f} s', flush=True)
    return f'{REPOSITORY}/build/stage'
