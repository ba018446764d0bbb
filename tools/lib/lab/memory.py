# SPDX-License-Identifier: GPL-2.0-or-later
"""Tools that watch a host's memory while it runs: AddressSanitizer with its leak check, UBSan, valgrind, ThreadSanitizer.

Owns their words and what of their reports is ours. Knows nothing of the host, nor of what it is put through.
Read next: scenarios/host_process.py, scenarios/strongswan/host_memory.py.
"""
import os
import re

from .jumping import Stage
from .run import REPOSITORY, Fault, command

# Our source files by their names: in a stack of valgrind's stands no folder.
_FILES = '|'.join(sorted({os.path.splitext(name)[0] for top in ('core', 'adapters', 'plugins')
                          for _, _, names in os.walk(f'{REPOSITORY}/{top}') for name in names if name.endswith('.c')}))
# No suppressions: a finding without one of our functions in it is counted and is no failure.
_ASAN = 'detect_leaks=1:abort_on_error=0:halt_on_error=0:exitcode=99:handle_segv=0:log_path={folder}/{name}.asan'
_VALGRIND = ('valgrind', '--quiet', '--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite',
             '--track-fds=no', '--num-callers=30', '--keep-debuginfo=yes')
_HELGRIND = ('valgrind', '--tool=helgrind', '--quiet', '--num-callers=30', '--keep-debuginfo=yes')


def sanitized(story):
    """A stage of the story's host whose plugins were built with ASan, LSan and UBSan."""
    tree = f'{REPOSITORY}/build/stage-sanitizers'
    command(f'{REPOSITORY}/tools/build', '--sanitizers', '--destdir', tree)
    for link in (story.stage.plugin, os.path.dirname(story.stage.policy())):
        os.unlink(link)  # the short paths lead to this build now
    return Stage(story.run, tree, story.options.policy, story.host)


def asan_through(folder, name, more=''):
    libraries = [os.path.realpath(command('gcc', f'-print-file-name={library}').strip())
                 for library in ('libasan.so', 'libubsan.so')]
    return ['env', f'LD_PRELOAD={":".join(libraries)}', f'ASAN_OPTIONS={_ASAN.format(folder=folder, name=name)}{more}',
            f'UBSAN_OPTIONS=print_stacktrace=1:log_path={folder}/{name}.ubsan']


def charon_of_threads():
    """A charon that was built with ThreadSanitizer, all its libraries and the plugin too."""
    program = f'{REPOSITORY}/build/charon-tsan/root/libexec/ipsec/charon'
    if not os.path.exists(program):
        raise Fault(f'no {program}: tools/proof threads --charon makes it')
    return program


def tsan_through(folder, name):
    """For that charon. Its addresses are not drawn: the sanitizer of this gcc wants them where it knows them."""
    return ['setarch', '-R', 'env', f'TSAN_OPTIONS=log_path={folder}/{name}.tsan history_size=4 exitcode=99 '
            f'suppressions={REPOSITORY}/tests/thread-sanitizer.supp']


def valgrind_through(folder, name):
    return [*_VALGRIND, f'--log-file={folder}/{name}.valgrind.%p']


def helgrind_through(folder, name):
    return [*_HELGRIND, f'--log-file={folder}/{name}.valgrind.%p']


_OURS = r'jump_|openvpn-plugin-jumping|strongswan-jumping|/adapters/|/core/'


def reports(folder, name):
    """Each tool's findings in which one of our own functions stands; and how many there were besides."""
    return _sorted(folder, name, lambda block: re.search(_OURS, block))


def races(folder, name):
    """The same of helgrind: what one of our own functions did itself. What it called races in the host's own way."""
    def by_us(block):
        frame = re.search(r'(?:data race|conflicts|lock order).*?\bat 0x\w+: (.*)', block, re.DOTALL)
        return frame and re.search(_OURS + r'|\((?:' + _FILES + r')\.c:', frame[1].split('\n')[0])
    return _sorted(folder, name, by_us)


def tsan_races(folder, name):
    """The same of ThreadSanitizer, which sees both sides: what one of our own functions, or what it called, did on either."""
    ours, others = [], 0
    for file_name in sorted(os.listdir(folder)):
        if not file_name.startswith(f'{name}.tsan'):
            continue
        with open(f'{folder}/{file_name}', encoding='utf-8', errors='replace') as file:
            for block in file.read().split('==================\n'):
                if 'WARNING: ThreadSanitizer' not in block:
                    continue
                # Behind the two sides stands where the memory and the threads came from. A thread that is cancelled inside poll()
                # never comes back through the sanitizer's own poll: from there on its locks are not seen, and whoever had called
                # poll() seems to have called what ends the thread. Only what the end itself calls is looked at.
                sides = re.split(r'\n\n  (?:Location|As if|Thread|Mutex)', block)[0].split('\n\n')
                if any(re.search(_OURS, re.split(r'#\d+ thread_cleanup', side)[0]) for side in sides):
                    ours.append(block.strip()[:6000])
                else:
                    others += 1
    return ours, others


def _sorted(folder, name, is_ours):
    ours, others = [], 0
    for file_name in sorted(os.listdir(folder)):
        if not re.match(rf'{name}\.(asan|ubsan|valgrind)', file_name):
            continue
        with open(f'{folder}/{file_name}', encoding='utf-8', errors='replace') as file:
            for block in re.split(r'\n(?:==\d+== ?)?\n', file.read()):
                if not re.search(r'#\d+ 0x|runtime error|0x[0-9A-F]{4,}: ', block):
                    continue
                if is_ours(block):
                    ours.append(block.strip()[:2000])
                else:
                    others += 1
    return ours, others
