# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of the lab: its folder, its processes, and the promise that nothing stays behind.

Owns the temporary folder, every process started for the run and the list of things to undo.
Knows nothing of networks or OpenVPN. Read next: network.py.
"""
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time

REPOSITORY = os.path.realpath(f'{os.path.dirname(os.path.abspath(__file__))}/../../..')
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Fault(Exception):
    """The lab could not do its work; the text is for the person who started it."""


class Stopped(BaseException):
    """A signal asked us to end. Not an Exception, so that no handler for faults swallows it."""


def now_ns():
    """CLOCK_BOOTTIME: the clock of the audit log, and one clock for all namespaces."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def seconds(nanoseconds):
    return round(nanoseconds / 1e9, 3)


def say(text):
    print(text, file=sys.stderr, flush=True)


def command(*words, stdin=None, check=True):
    """Run a short command to its end and return what it wrote to stdout."""
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise Fault(f'{" ".join(words)}: status {done.returncode}: {done.stderr.strip() or done.stdout.strip()}')
    return done.stdout


def wait_until(condition, timeout, what, step=0.02):
    """Poll until condition() is true and return its value; a Fault after timeout seconds."""
    value = poll_until(condition, timeout, step)
    if not value:
        raise Fault(f'not within {timeout:g} s: {what}')
    return value


def poll_until(condition, timeout, step=0.02):
    """As wait_until, but a timeout is an answer: the last, false, value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() >= end:
            return value
        time.sleep(step)


class Process:
    """A process in a session of its own, so that its whole group can be ended by id."""

    def __init__(self, words, log_path, folder):
        self.log_path = log_path
        with open(log_path, 'ab') as log:
            self._child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                                           start_new_session=True)
        self.pid = self._child.pid

    def running(self):
        return self._child.poll() is None

    def status(self):
        """The exit status; None while it runs, negative for a signal."""
        return self._child.poll()

    def signal(self, number):
        # The group's id is the child's pid, which cannot be reused before we have waited for it.
        if self.running():
            os.killpg(self.pid, number)

    def wait(self, timeout):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout)
        return self.status()

    def stop(self, timeout=4):
        self.signal(signal.SIGTERM)
        if self.wait(timeout) is None:
            self.kill()
        return self.status()

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait(4)

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as file:
            return file.read()


class DaemonProcess(Process):
    """A process that left its starter and went on in the background; known by the id it wrote to a file."""

    def __init__(self, words, log_path, folder, pid_file):
        _adopt_orphans()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(pid_file)
        super().__init__(words, log_path, folder)
        if self.wait_starter(10) != 0:
            raise Fault(f'{" ".join(words)}: it did not go into the background (status {self._child.poll()})')
        wait_until(lambda: os.path.exists(pid_file) and os.path.getsize(pid_file) > 0, 5, f'{pid_file} is written')
        with open(pid_file, encoding='ascii') as file:
            self.pid = int(file.read())
        self._status = None

    def wait_starter(self, timeout):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._child.wait(timeout)
        os.killpg(self._child.pid, signal.SIGKILL)
        return None

    def running(self):
        return self.status() is None

    def status(self):
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def signal(self, number):
        if self.running():  # ours to wait for, so its id cannot be another's by now
            os.kill(self.pid, number)

    def wait(self, timeout):
        poll_until(lambda: not self.running(), timeout)
        return self.status()


def _adopt_orphans():
    """From now on a process whose starter ends becomes our child (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) != 0:
        raise Fault(f'prctl: {os.strerror(ctypes.get_errno())}')


class Run:
    """A context manager: whatever was started or deferred is gone when it ends, however it ends."""

    def __init__(self, keep=False):
        self.keep = keep
        self.tag = f'jl{os.getpid()}'
        self.folder = self._make_folder()
        self._processes = []
        self._undo = []

    @staticmethod
    def _make_folder():
        # Short, for OpenVPN's limit of 255 characters an option line and 108 a socket path. mkdir
        # refuses a name that exists, whoever made it, so a predictable name is safe.
        for suffix in ('', *(f'-{i}' for i in range(1, 100))):
            folder = f'/tmp/jl-{os.getpid()}{suffix}'
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
                return folder
        raise Fault('no free folder under /tmp')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def defer(self, function, *arguments):
        """Call function at the end; the last deferred comes first."""
        self._undo.append((function, arguments))

    def start(self, words, log_name, namespace=None):
        """Start a process that lives until it is stopped or the run ends; ip netns exec keeps its pid."""
        return self._started(Process, _inside(namespace, words), f'{self.folder}/{log_name}', self.folder)

    def start_daemon(self, words, log_name, pid_file, namespace=None):
        """As start, for a program that goes into the background and writes its id to a file."""
        return self._started(DaemonProcess, _inside(namespace, words), f'{self.folder}/{log_name}', self.folder,
                             pid_file)

    def _started(self, kind, *arguments):
        process = kind(*arguments)
        self._processes.append(process)
        return process

    def logs(self):
        """Every log of the run, oldest process first, each path once."""
        return list(dict.fromkeys(process.log_path for process in self._processes))

    def _kept(self):
        # What a machine of uml.py has in /tmp goes with it; its exchange folder stays.
        exchange = os.environ.get('LAB_EXCHANGE')
        if not exchange:
            return self.folder
        return shutil.copytree(self.folder, f'{exchange}/{os.path.basename(self.folder)}', symlinks=True,
                               ignore=lambda folder, names: [name for name in names if not _is_plain(f'{folder}/{name}')])

    def tails(self, lines=15):
        """The last lines of each log, for a person who must find out what went wrong."""
        text = []
        for path in self.logs():
            with open(path, encoding='utf-8', errors='replace') as file:
                last = file.read().splitlines()[-lines:]
            if last:
                text += [f'--- {os.path.basename(path)}', *last]
        return '\n'.join(text)

    def close(self):
        with _signals_held_back():
            for process in reversed(self._processes):
                process.signal(signal.SIGTERM)
            for process in self._processes:
                process.stop()
            while self._undo:
                function, arguments = self._undo.pop()
                try:
                    function(*arguments)
                except (Fault, OSError) as fault:
                    say(f'clean-up: {fault}')
            if self.keep:
                say(f'kept: {self._kept()}')
            else:
                shutil.rmtree(self.folder, ignore_errors=True)


def _is_plain(path):
    return os.path.isdir(path) or os.path.isfile(path)


def _inside(namespace, words):
    return [*(['ip', 'netns', 'exec', namespace] if namespace else []), *words]


@contextlib.contextmanager
def _signals_held_back():
    """A second Ctrl-C must not interrupt the clean-up. Threads other than the main one get no signals."""
    try:
        before = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    except ValueError:
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_on_signals():
    """From now on a stop signal unwinds the main thread, and so runs every clean-up on the way."""
    def stop(number, _frame):
        raise Stopped(signal.Signals(number).name)
    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def sweep():
    """Remove what runs left that were killed outright: only namespaces whose lab process is gone."""
    removed = []
    for line in command('ip', 'netns', 'list').splitlines():
        name = line.split()[0]
        owner = name[2:].split('-')[0]
        if not name.startswith('jl') or not owner.isdigit() or os.path.exists(f'/proc/{owner}'):
            continue
        for pid in command('ip', 'netns', 'pids', name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        command('ip', 'netns', 'del', name)
        shutil.rmtree(f'/tmp/jl-{owner}', ignore_errors=True)
        removed.append(name)
    return removed
