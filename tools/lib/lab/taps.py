# SPDX-License-Identifier: GPL-2.0-or-later
"""leaks.py at several places at once: what leaves there that has no business outside the tunnel.

Owns its processes. Read next: leaks.py.
"""
import os
import re
import time

from . import leaks, traffic
from .run import wait_until
from .story import failed

_PROGRAM = os.path.abspath(leaks.__file__)


class Taps:
    def __init__(self, run):
        self._run = run
        self._processes = {}

    def add(self, name, namespace, devices, to, ports, outgoing=False):
        """Look at these devices; what goes to one of these addresses and ports, in UDP, may."""
        words = ['/usr/bin/python3', _PROGRAM, *['--outgoing'] * outgoing, '--mark', os.fsdecode(traffic.MARK)]
        words += [word for address in to for word in ('--server', address)]
        words += [word for port in ports for word in ('--port', str(port))]
        process = self._run.start([*words, *devices], f'leaks-{name}.log', namespace)
        wait_until(lambda: 'ready' in process.log() or not process.running(), 5, 'leaks.py looks')
        self._processes[name] = process

    def facts(self):
        """Of each place: how many frames there were, how many of them had no business there, and which."""
        time.sleep(1.5)  # counts are written once a second
        told = {}
        for name, process in self._processes.items():
            log = process.log()
            frames, stray, marked = (int(n) for n in re.findall(r'^count (\d+) (\d+) (\d+)', log, re.M)[-1])
            told[name] = {'looking': process.running(), 'frames': frames, 'stray': stray, 'in_the_clear': marked,
                          'what': sorted(set(re.findall(r'^stray \d+ \S+ (\S+)', log, re.M)))}
        return told


def expect_nothing(taps, frames=500):
    """taps: what Taps.facts told. Each looked at so many frames, and all were the tunnel's."""
    return failed(
        *((tap['looking'] and tap['frames'] > frames, f'{name}: frames were looked at ({tap["frames"]})')
          for name, tap in taps.items()),
        *((tap['in_the_clear'] == 0, f'{name}: no packet of the user\'s left in the clear ({tap["in_the_clear"]} did)')
          for name, tap in taps.items()),
        *((tap['stray'] == 0, f'{name}: nothing else left either ({tap["stray"]}: {tap["what"]})')
          for name, tap in taps.items()))
