# SPDX-License-Identifier: GPL-2.0-or-later
"""The core that the kernel writes of a process that crashes, and what is in it.

Owns the limits and the names of such files, and a library that takes MADV_DONTDUMP away, by which a search of cores is tried.
Knows no host. Read next: scenarios/host_secrets.py.
"""
import os
import resource
import signal

from . import uml
from .run import REPOSITORY, Fault, command

_PATTERN = '/proc/sys/kernel/core_pattern'


def must_be_files():
    """A Fault where this kernel hands its cores to a program; in a machine of the lab's own they are files."""
    if uml.inside():
        with open(_PATTERN, 'w', encoding='ascii') as file:
            file.write('core')
    with open(_PATTERN, encoding='ascii') as file:
        pattern = file.read().strip()
    if not pattern.startswith('core') or '/' in pattern:
        raise Fault(f'this kernel\'s cores do not go to the folder of who crashes ({_PATTERN}: {pattern}): run it with --kernel')


def crash(process, folder, name):
    """SIGABRT for a process that was started in this folder; its core as a file of this name there. Returns its path."""
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    before = set(os.listdir(folder))
    process.signal(signal.SIGABRT)
    if process.wait(30) is None:
        raise Fault(f'{name}: it does not end')
    new = [each for each in set(os.listdir(folder)) - before if each.startswith('core')]
    if len(new) != 1:
        raise Fault(f'{name}: no core in {folder} (it ended with status {process.status()})')
    path = f'{folder}/{name}'
    os.rename(f'{folder}/{new[0]}', path)
    return path


def counted(path, needles):
    """How often the core has each of these."""
    with open(path, 'rb') as file:
        data = file.read()
    return {name: data.count(needle) for name, needle in needles.items()}


def everything_dumped(folder):
    """Words before a program, in which nothing is left out of a core then."""
    library = f'{folder}/dumpall.so'
    command('cc', '-std=gnu11', '-O2', '-shared', '-fPIC', '-o', library, f'{REPOSITORY}/tools/lib/dumpall.c')
    return ['env', f'LD_PRELOAD={library}']
