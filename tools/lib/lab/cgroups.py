# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups: the limits that systemd sets by them (TasksMax, DeviceAllow), set by the lab.

Owns the groups that it makes, which are named after the run, and knows where a machine has its
controllers, of version 1 or 2. What it has not is not set, and says so. Read next: scenarios/host_unit.py.
"""
import contextlib
import os

# What a unit with DeviceAllow may open besides (systemd.resource-control(5), DevicePolicy).
_ALWAYS = ('c 1:3 rwm', 'c 1:5 rwm', 'c 1:7 rwm', 'c 1:8 rwm', 'c 1:9 rwm', 'c 5:0 rwm', 'c 5:2 rwm', 'c 136:* rwm')


def _controller(name):
    """The folder in which groups of this controller are made; None: there is none, or not for us."""
    with open('/proc/self/mounts', encoding='ascii') as file:
        mounts = [line.split()[1:4] for line in file]
    for folder, kind, options in mounts:
        if not os.access(folder, os.W_OK):
            continue
        if kind == 'cgroup' and name in options.split(','):
            return folder
        if kind == 'cgroup2':
            with open(f'{folder}/cgroup.subtree_control', encoding='ascii') as file:
                if name in file.read().split():
                    return folder
    return None


def device(path, access):
    """A node as the devices controller names it."""
    number = os.stat(path).st_rdev
    return f'c {os.major(number)}:{os.minor(number)} {access}'


class Group:
    """A group for one service, gone with the run."""

    def __init__(self, run, name):
        self._run, self._name = run, name
        self._folders = {}

    def limit_tasks(self, most):
        self._limit('pids', [('pids.max', most)])

    def limit_devices(self, allowed):
        """Version 2 has a BPF program in the place of these files: there it is not limited."""
        self._limit('devices', [('devices.deny', 'a'), *(('devices.allow', entry) for entry in (*_ALWAYS, *allowed))])

    def _limit(self, controller, values):
        above = _controller(controller)
        if not above:
            return
        folder = f'{above}/{self._run.tag}-{self._name}'
        os.mkdir(folder)
        self._run.defer(os.rmdir, folder)
        self._folders[controller] = folder
        for file, text in values:
            with open(f'{folder}/{file}', 'w', encoding='ascii') as opened:
                opened.write(text)

    def joining(self):
        """Lines of a shell script that enter the group; the lab's own root, for `ip netns exec` hides the machine's."""
        return [f'echo $$ > /proc/{os.getpid()}/root{folder}/cgroup.procs' for folder in self._folders.values()]

    def value(self, controller, file):
        """What the kernel holds; None: it has no such controller or file."""
        with contextlib.suppress(KeyError, FileNotFoundError):
            with open(f'{self._folders[controller]}/{file}', encoding='ascii') as opened:
                return opened.read().strip()
        return None


def sweep():
    """Remove the groups of runs that were killed outright."""
    for above in filter(None, map(_controller, ('pids', 'devices'))):
        for name in os.listdir(above):
            owner = name[2:].split('-')[0]
            if name.startswith('jl') and owner.isdigit() and not os.path.exists(f'/proc/{owner}'):
                with contextlib.suppress(OSError):  # somebody is still in it
                    os.rmdir(f'{above}/{name}')
