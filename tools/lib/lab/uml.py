# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine of its own for one command: Debian's kernel as a process (user-mode Linux), for what this kernel cannot.

Owns how it is started, its time limit and its end. It sees this machine's files, at their places, and whatever it
changes is gone with it; only its exchange folder is real. It has root, one processor, kernel ESP, netem, network
namespaces, iptables (no nft), and no way out to any network. Knows nothing of what it runs. Read next: uml_init.py,
its first process.
"""
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import signal
import sys
import threading
import time

from .run import Fault, now_ns, say, seconds

_KERNEL = '/usr/bin/linux.uml'
_SUSPENDED = 'suspended'
INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'uml_init.py')


def inside():
    """Whether this is a machine of the lab's own already, of either kind."""
    return 'LAB_EXCHANGE' in os.environ


@functools.cache
def without_nft():
    """Whether this is user-mode Linux, whose nft knows no IP (CONFIG_NF_TABLES_IPV4 is not set)."""
    with open('/proc/cpuinfo', encoding='ascii', errors='replace') as file:
        return 'User Mode Linux' in file.read()


@dataclasses.dataclass
class Done:
    status: int     # the exit status of the command; negative: the signal that ended it
    out: str        # what it wrote on stdout
    err: str        # ... and on stderr
    booted_s: float     # how long it took until the command was started
    took_s: float       # ... until all of it was over


class Machine:
    """
    Boots for one command, as often as it is asked to; machines may run side by side.

        done = Machine(run).call(['ip', 'xfrm', 'state'], timeout=30)

    run: see run.py; the machine is one of its processes and ends with it, its folder is in the run's.
    systemd: real systemd is the first process, at basic.target, and the command runs as a service of it; otherwise the
    first process is uml_init.py and the command its child. Another kind: qemu.py.
    """

    name = 'user-mode Linux'

    def __init__(self, run, systemd=False, memory_mb=1024):
        self._must_be_there()
        self._run = run
        self._systemd = systemd
        self._memory_mb = memory_mb
        self._exchange = None

    def call(self, words, timeout, folder=None, environment=None):
        """
        Run words as root in this folder (default: the one we are in); a Done, or a Fault if there is no exit status
        after timeout seconds, the boot included.

        In the environment are PATH, HOME, LAB_EXCHANGE and what is given. LAB_EXCHANGE is a folder that is at the same
        place inside and outside: what the command puts there can be read in it afterwards, until the run ends.
        """
        name, exchange = self._new_folder()
        job = {'words': list(words), 'folder': folder or os.getcwd(), 'systemd': self._systemd,
               'environment': {'PATH': os.environ.get('PATH', os.defpath), 'HOME': os.path.expanduser('~'), 'TERM': 'dumb',
                               'LAB_EXCHANGE': exchange, **(environment or {})}}
        with open(f'{exchange}/job.json', 'w', encoding='utf-8') as file:
            json.dump(job, file)
        begun = now_ns()
        process = self._run.start(self._words(exchange), f'{name}.log')
        waker = threading.Thread(target=self._wake, args=(process, exchange), daemon=True)
        waker.start()
        ended = process.wait(timeout) is not None
        if not ended:
            process.kill()
        try:
            with open(f'{exchange}/status.json', encoding='utf-8') as file:
                status = json.load(file)
        except (FileNotFoundError, json.JSONDecodeError):
            why = 'it ended without one' if ended else f'not within {timeout:g} s'
            raise Fault(f'{self.name}: no exit status, {why}: {_last(process.log())}\n'
                        f'{_read(exchange, "err")[-2000:]}') from None
        return Done(status['status'], _read(exchange, 'out'), _read(exchange, 'err'), status['booted_s'],
                    seconds(now_ns() - begun))

    @staticmethod
    def _must_be_there():
        if not os.path.exists(_KERNEL):
            raise Fault('no user-mode Linux here (package user-mode-linux): run tools/deps install')

    def _words(self, exchange):
        return [_KERNEL, f'mem={self._memory_mb}M', 'rootfstype=hostfs', 'rootflags=/', 'ro', f'init={INIT}',
                f'LAB_EXCHANGE={exchange}', f'uml_dir={exchange}', 'umid=uml', 'con=null', 'con0=null,fd:1', 'ssl=null', 'quiet',
                'loglevel=3', 'selinux=0', 'apparmor=0']

    @staticmethod
    def _wake(process, exchange):
        """The machine has no clock that would end its suspension (suspend, below): we do."""
        request = f'{exchange}/{_SUSPENDED}'
        while process.running():
            with contextlib.suppress(FileNotFoundError, ValueError):
                with open(request, encoding='ascii') as file:
                    length = float(file.read())
                os.unlink(request)
                time.sleep(length)
                # The kernel's own process alone: to those of the machine's programs it would be a signal as any other.
                os.kill(process.pid, signal.SIGUSR1)
            time.sleep(0.05)

    def _new_folder(self):
        # Short, for the path of a socket that the kernel makes there.
        for number in itertools.count(1):
            self._exchange = f'{self._run.folder}/uml{number}'
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._exchange, 0o700)
                return f'uml{number}', self._exchange

    def exchanged(self, name):
        """The text of a file that the newest command left in its exchange folder; empty: it left none."""
        return _read(self._exchange, name)


def suspend(length):
    """Inside: the machine stands still for so many seconds. Its clocks but the processes' own go on meanwhile, as CLOCK_BOOTTIME does."""
    request = os.path.join(os.environ['LAB_EXCHANGE'], _SUSPENDED)
    with open(f'{request}.new', 'w', encoding='ascii') as file:
        file.write(str(length))
    os.rename(f'{request}.new', request)
    with open('/sys/power/state', 'w', encoding='ascii') as file:
        file.write('freeze')


def again(run, timeout, words=None, systemd=False, kind=Machine):
    """This command line of tools/lab once more, in a machine of this kind: a Done. words: others in the place of ours."""
    done = kind(run, systemd).call([sys.executable, os.path.abspath(sys.argv[0]), *(words or sys.argv[1:])], timeout)
    say(done.err.rstrip())
    return done


def _last(text, lines=30):
    return '\n'.join(text.splitlines()[-lines:])


def _read(folder, name):
    try:
        with open(f'{folder}/{name}', encoding='utf-8', errors='replace') as file:
            return file.read()
    except FileNotFoundError:
        return ''
