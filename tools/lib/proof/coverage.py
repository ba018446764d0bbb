# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines and branches of core/ the core's own unit tests run.

Builds build/coverage without optimisation, runs the tests of the engine and of each file of the core, and fails below 95 %
of the lines or 90 % of the branches. No branch is left out of the count: C has none for exceptions, and what cannot be reached
stands in the list (--missing). A test without an assertion fails (tests/unit/runner.h), so none only adds to the count.
"""
import json
import os
import subprocess

from . import tree

SUMMARY = 'lines and branches of core/ that its unit tests run'
LEAST_LINES, LEAST_BRANCHES = 95, 90
# Beside test_engine_* and test_STEM of core/STEM.c.
ALSO = ('scenarios', 'vectors')


def arguments(parser):
    parser.add_argument('--missing', action='store_true', help='print each line that did not run, and each that branched one way only')


def _tests():
    stems = {name[:-2] for name in os.listdir(os.path.join(tree.REPOSITORY, 'core')) if name.endswith('.c')} | set(ALSO)
    for name in sorted(os.listdir(os.path.join(tree.REPOSITORY, 'tests/unit'))):
        stem, end = os.path.splitext(name)
        if end == '.c' and (stem.startswith('test_engine_') or stem.removeprefix('test_') in stems):
            yield f'tests/unit/{stem}'


def _run(tests, folder):
    """@return those that failed"""
    for at, _, names in os.walk(folder):
        for name in names:
            if name.endswith('.gcda'):  # of an earlier run, perhaps of a test that is gone
                os.unlink(os.path.join(at, name))
    failed = []
    for test in tests:
        done = subprocess.run([os.path.join(folder, test)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False, text=True, errors='replace',
                              env={**os.environ, 'srcdir': tree.REPOSITORY})
        if done.returncode:
            failed.append(test)
            print(f'{test} failed:\n' + '\n'.join(done.stdout.splitlines()[-20:]))
    return failed


def _counts(folder):
    """{file: [(line number, times run, [times each branch was taken])]}"""
    done = subprocess.run(['gcovr', '--root', tree.REPOSITORY, '--filter', 'core/', '--object-directory', folder,
                           '--json', '-', os.path.join(folder, 'core')], cwd=tree.REPOSITORY, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode or not done.stdout:
        raise tree.Broken('gcovr failed (tools/deps install)')
    return {file['file']: [(line['line_number'], line['count'], [branch['count'] for branch in line['branches']])
                           for line in file['lines'] if not line['gcovr/noncode']]
            for file in json.loads(done.stdout)['files']}


def _share(part, whole):
    return 100 * part / whole if whole else 100


def _print_missing(file, lines):
    with open(os.path.join(tree.REPOSITORY, file), encoding='utf-8') as source:
        text = source.read().splitlines()
    for number, count, branches in lines:
        if not count or 0 in branches:
            taken = f'{sum(1 for b in branches if b)} of {len(branches)} branches' if count else 'not run'
            print(f'  {file}:{number}: {taken}: {text[number - 1].strip()}')


def run(options):
    tests = list(_tests())
    folder = tree.built('coverage', tests, ('--enable-coverage',), {'CFLAGS': '-O0 -g'})
    failed = _run(tests, folder)
    counts = _counts(folder)
    total = [0, 0, 0, 0]
    print(f'{"file":<20} {"lines":>7}        {"branches":>7}')
    for file, lines in sorted(counts.items()):
        one = [sum(1 for line in lines if line[1]), len(lines),
               sum(1 for line in lines for branch in line[2] if branch), sum(len(line[2]) for line in lines)]
        total = [a + b for a, b in zip(total, one)]
        print(f'{file:<20} {_share(*one[:2]):6.1f} %      {_share(*one[2:]):6.1f} %')
        if options.missing:
            _print_missing(file, lines)
    results = [(what, _share(part, whole), least, f'{part} of {whole}') for what, part, whole, least in
               (('lines', *total[:2], LEAST_LINES), ('branches', *total[2:], LEAST_BRANCHES))]
    bad = len(failed)
    for what, share, least, of in results:
        short = not counts or share < least
        bad += short
        print(f'{what} of core/: {share:.1f} % ({of}; at least {least} %){": TOO FEW" if short else ""}')
    return len(tests) + len(results) - bad, bad
