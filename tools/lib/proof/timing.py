# SPDX-License-Identifier: GPL-2.0-or-later
"""What is compared with a secret is compared in constant time: by counting instructions, not by a clock.

A PROOF with a wrong challenge, a RESET with a wrong MAC and a PROBE with a wrong tag are fed to a real engine under callgrind. The
number of instructions that the engine executes must be the same whichever byte is the wrong one. It does not show that an
instruction itself takes the same time for all data; that is libsodium's claim.
"""
import os
import re
import subprocess

from . import tree

SUMMARY = 'a wrong challenge, MAC or tag costs the same instructions, whichever byte is wrong'
PROGRAM = 'tests/unit/timing_secrets'
CASES = {'challenge': 16, 'reset': 16, 'tag': 16}
BYTES = (0, 1, 7, 14, 15)


def arguments(parser):
    del parser


def _instructions(folder, case, byte):
    """(instructions, the engine's verdict)"""
    done = subprocess.run(['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', '--toggle-collect=measured',
                           os.path.join(folder, PROGRAM), case, str(byte)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, text=True)
    count = re.search(r'Collected\s*:\s*(\d+)', done.stderr)
    if done.returncode or not count or int(count[1]) < 1000:
        raise tree.Broken(f'{case} {byte}: nothing was measured:\n{done.stderr[-2000:]}')
    return int(count[1]), done.stdout.strip()


def run(options):
    del options
    folder = tree.built('timing', [PROGRAM])
    failed = 0
    for case in CASES:
        found = {byte: _instructions(folder, case, byte) for byte in BYTES}
        same = len(set(found.values())) == 1
        failed += not same
        print(f'{case}: ' + (f'{found[0][0]} instructions for each of {len(BYTES)} places' if same else f'DIFFERS: {found}'))
    return len(CASES) - failed, failed
