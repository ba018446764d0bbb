# SPDX-License-Identifier: GPL-2.0-or-later
"""ThreadSanitizer on everything that runs beside charon's threads.

Builds build/tsan and runs the tests of adapters/strongswan, host and system: test_strongswan_threads has all of charon's
threads at once, with the real session thread and both engines. A report fails its test; tests/thread-sanitizer.supp lists what
is none. What it does not see: libstrongswan's and charon's own accesses, which are not instrumented (their locks are seen). In
the real charon helgrind looks: tools/lab strongswan helgrind. OpenVPN's plugin starts no thread: tests/checks/check-no-thread.
"""
import os
import subprocess

from . import tree

SUMMARY = 'ThreadSanitizer on the adapters beside charon\'s threads'
TESTS = ('strongswan_', 'host_', 'audit_', 'control', 'netlink', 'policy_file', 'state', 'store', 'openvpn_io', 'openvpn_loop',
         'openvpn_open')
NEEDED = 'tests/unit/test_strongswan_threads'
TIMES = 3  # of that one: which thread comes first is not the same in each run


def arguments(parser):
    parser.add_argument('--times', type=int, default=TIMES, help=f'how often {os.path.basename(NEEDED)} runs (default {TIMES})')


def _run(test, folder):
    suppressions = os.path.join(tree.REPOSITORY, 'tests/thread-sanitizer.supp')
    done = subprocess.run([os.path.join(folder, test)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, text=True, errors='replace',
                          env={**os.environ, 'srcdir': tree.REPOSITORY, 'TSAN_OPTIONS': f'suppressions={suppressions}'})
    if done.returncode:
        print(f'{test} failed:\n' + '\n'.join(done.stdout.splitlines()[-120:]))
    return done.returncode == 0


def run(options):
    folder = tree.built('tsan', ['all'], ('--enable-thread-sanitizer',))
    listed = subprocess.run(['make', '-s', '-f', 'Makefile', '--eval', 'list-tests: ; @echo $(unit_tests) $(strongswan_tests) $(openvpn_tests)',
                             'list-tests'], cwd=folder, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    tests = [test for test in listed if os.path.basename(test).removeprefix('test_').startswith(TESTS)]
    if NEEDED not in tests:
        raise tree.Broken(f'{NEEDED} is not built: it needs strongSwan\'s headers (tools/strongswan-source) and libcharon (tools/deps install)')
    tree.built('tsan', tests, ('--enable-thread-sanitizer',))
    tests += [NEEDED] * (options.times - 1)
    passed = sum(_run(test, folder) for test in tests)
    return passed, len(tests) - passed
