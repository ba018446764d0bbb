# SPDX-License-Identifier: GPL-2.0-or-later
"""Build trees of their own for the parts of tools/proof, below build/.

Owns where they are and when they are configured anew. Read next: cli.py.
"""
import fcntl
import os
import subprocess

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))


class Broken(Exception):
    """The part could not do its work; the text says what to do about it."""


def _run(command, folder, log, environment=None):
    with open(log, 'ab') as out:
        done = subprocess.run(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, check=False,
                              env={**os.environ, **(environment or {})})
    if done.returncode:
        with open(log, encoding='utf-8', errors='replace') as file:
            end = ''.join(file.readlines()[-40:])
        raise Broken(f'failed: {" ".join(command)}\n{end}(all of it: {log})')


def built(name, targets, flags=(), environment=None):
    """The folder build/NAME, configured with these flags and with these targets made.

    @param environment  variables that configure keeps, such as CC
    @raise Broken: configure or make failed; its end is in the text
    """
    folder = os.path.join(REPOSITORY, 'build', name)
    os.makedirs(folder, exist_ok=True)
    log, used = os.path.join(folder, 'proof.log'), os.path.join(folder, 'proof.flags')
    with open(os.path.join(folder, 'proof.lock'), 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once of one kind: the second waits, and finds it done
        open(log, 'wb').close()
        configure = os.path.join(REPOSITORY, 'configure')
        if not os.path.exists(configure) or os.path.getmtime(configure) < os.path.getmtime(configure + '.ac'):
            _run(['./bootstrap'], REPOSITORY, log)
        wanted = repr((list(flags), sorted((environment or {}).items())))
        status = os.path.join(folder, 'config.status')
        known = os.path.exists(used) and open(used, encoding='utf-8').read() == wanted
        if not known or not os.path.exists(status) or os.path.getmtime(status) < os.path.getmtime(configure):
            _run([configure, '--prefix=/usr', *flags], folder, log, environment)
            with open(used, 'w', encoding='utf-8') as file:
                file.write(wanted)
        _run(['make', f'-j{os.cpu_count()}', *targets], folder, log)
    return folder
