# SPDX-License-Identifier: GPL-2.0-or-later
"""clang-tidy and cppcheck over core, adapters, plugins and jumpctl, with no finding left.

Which checks clang-tidy makes, and why others are left out, stands in .clang-tidy; cppcheck's in this file. A finding that is none
is answered where it stands, by a comment with its reason: NOLINT(check) or cppcheck-suppress. The compiler's flags are
those of build/static, so that each file is read as it is built.
"""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess

from . import tree

SUMMARY = 'clang-tidy and cppcheck, with no finding left'
FOLDERS = ('core/', 'adapters/', 'plugins/', 'tools/jumpctl/')
# Off: what is a matter of style here, or of a function's use that cppcheck does not see.
CPPCHECK = ('--std=c11', '--platform=unix64', '--enable=warning,portability,performance', '--inline-suppr', '--quiet',
            '--error-exitcode=1', '--library=posix', '--library=gnu', '--template={file}:{line}: {severity}: {message} [{id}]',
            # Two macros of strongSwan's, whose headers are not looked into, in a form that can be read.
            '-DINIT(this,...)=(this)=malloc(sizeof(*(this)))', '-DMETHOD(iface,name,ret,...)=static ret _##name(__VA_ARGS__)',
            '-D__x86_64__=1',
            # One thread reads each folder, and OpenVPN has one thread.
            '--suppress=readdirCalled', '--suppress=getpwuidCalled',
            # Headers of the system are not looked into: their macros are unknown to it, and no fault of ours.
            '--suppress=missingInclude', '--suppress=missingIncludeSystem', '--suppress=unmatchedSuppression')


def arguments(parser):
    parser.add_argument('files', nargs='*', metavar='FILE', help='only these, relative to the tree (default: all)')
    parser.add_argument('--only', choices=('clang-tidy', 'cppcheck'), help='one of the two')


def _commands(folder):
    """{file: compiler's arguments}, as make would compile it."""
    told = subprocess.run(['make', '-n', '-B', 'V=1', 'all'], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=True, text=True).stdout
    found = {}
    for line in told.replace('\\\n', ' ').splitlines():
        match = re.search(r"(?:mode=compile )?\bgcc (.*) -MT .* -c -o \S+ (?:`test -f '[^']*' \|\| echo '[^']*'`)?(\S+\.c)\b", line)
        if match:
            path = os.path.relpath(match[2] if match[2].startswith('/') else os.path.join(tree.REPOSITORY, match[2]), tree.REPOSITORY)
            found.setdefault(path, shlex.split(match[1]))
    return {path: flags for path, flags in sorted(found.items()) if path.startswith(FOLDERS)}


def _tidy(folder, path):
    done = subprocess.run(['clang-tidy', '--quiet', '--warnings-as-errors=*', '-p', folder, path],
                          cwd=tree.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
    return path, done.returncode, done.stdout


def _clang_tidy(folder, commands):
    with open(os.path.join(folder, 'compile_commands.json'), 'w', encoding='utf-8') as file:
        # -Wno-...: what only gcc knows.
        json.dump([{'directory': folder, 'file': os.path.join(tree.REPOSITORY, path),
                    'arguments': ['clang', *flags, '-Wno-unknown-warning-option', '-c', os.path.join(tree.REPOSITORY, path)]}
                   for path, flags in commands.items()], file)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, status, text in pool.map(lambda path: _tidy(folder, path), commands):
            bad += status != 0
            if status:
                print(f'{path}:\n{text.strip()}')
    return len(commands), bad


def _cppcheck(folder, commands):
    done = subprocess.run(['cppcheck', *CPPCHECK, '-j', str(os.cpu_count()), f'-I{tree.REPOSITORY}/core/include', f'-I{tree.REPOSITORY}/core',
                           f'-I{tree.REPOSITORY}/adapters', f'-I{tree.REPOSITORY}/adapters/openvpn', f'-I{tree.REPOSITORY}/adapters/strongswan',
                           *commands], cwd=tree.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True)
    print(done.stdout, end='')
    files = {line.split(':')[0] for line in done.stdout.splitlines() if re.match(r'\S+:\d+: ', line)}
    return len(commands), len(files) or (done.returncode != 0)


def run(options):
    folder = tree.built('static', ['core/libjumping_core_a-fsm.o'])
    commands = _commands(folder)
    if options.files:
        commands = {path: flags for path, flags in commands.items() if path in options.files}
    if not commands:
        raise tree.Broken('make -n told of no file to look at')
    counts = [part(folder, commands) for name, part in (('clang-tidy', _clang_tidy), ('cppcheck', _cppcheck))
              if options.only in (None, name)]
    looked, bad = (sum(column) for column in zip(*counts))
    return looked - bad, bad
