# SPDX-License-Identifier: GPL-2.0-or-later
"""ThreadSanitizer on everything that runs beside charon's threads.

Builds build/tsan and runs the tests of adapters/strongswan, host and system: test_strongswan_threads has all of charon's
threads at once, with the real session thread and both engines. A report fails its test; tests/thread-sanitizer.supp lists what
is none. What it does not see: libstrongswan's and charon's own accesses, which are not instrumented (their locks are seen).

--charon: the real charon instead. Builds strongSwan's source with ThreadSanitizer (build/charon-tsan) and lets tools/lab put two
of them, with the plugin, through a session's whole life. helgrind looks at Debian's own: tools/lab strongswan helgrind.
OpenVPN's plugin starts no thread: tests/checks/check-no-thread.
"""
import os
import shutil
import subprocess

from . import tree

SUMMARY = 'ThreadSanitizer on the adapters beside charon\'s threads'
TESTS = ('strongswan_', 'host_', 'audit_', 'control', 'netlink', 'policy_file', 'state', 'store', 'openvpn_io', 'openvpn_loop',
         'openvpn_open')
NEEDED = 'tests/unit/test_strongswan_threads'
TIMES = 3  # of that one: which thread comes first is not the same in each run


def arguments(parser):
    parser.add_argument('--times', type=int, default=TIMES, help=f'how often {os.path.basename(NEEDED)} runs (default {TIMES})')
    parser.add_argument('--charon', action='store_true', help='the real charon instead, which is built first (root; many minutes)')


def _run(test, folder):
    suppressions = os.path.join(tree.REPOSITORY, 'tests/thread-sanitizer.supp')
    done = subprocess.run([os.path.join(folder, test)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, text=True, errors='replace',
                          env={**os.environ, 'srcdir': tree.REPOSITORY, 'TSAN_OPTIONS': f'suppressions={suppressions}'})
    if done.returncode:
        print(f'{test} failed:\n' + '\n'.join(done.stdout.splitlines()[-120:]))
    return done.returncode == 0


# What the lab loads, and no more. Debian's source tree has what flex, bison and gperf make, whose times copying must not mix up.
_CHARON = '''set -e
rm -rf source root
cp -a "$1" source
cd source
find . -name '*.am' -o -name '*.in' -o -name '*.ac' -o -name '*.m4' -o -name '*.[yl]' -o -name '*.txt' | xargs touch -d 2020-01-01
touch -d 2020-01-02 aclocal.m4
find . -name Makefile.in -o -name configure -o -name config.h.in | xargs touch -d 2020-01-03
./configure -q --prefix="$(cd .. && pwd)/root" --sysconfdir=/etc --disable-defaults --enable-charon --enable-ikev2 --enable-mediation \\
    --enable-openssl --enable-random --enable-nonce --enable-x509 --enable-pubkey --enable-pem --enable-pkcs1 --enable-constraints \\
    --enable-curve25519 --enable-kdf --enable-drbg --enable-socket-default --enable-kernel-netlink --enable-kernel-libipsec \\
    --enable-vici CFLAGS='-g -O1 -fno-omit-frame-pointer -fsanitize=thread' LDFLAGS=-fsanitize=thread
find . -name '*_lexer.c' -o -name '*_parser.[ch]' -o -name '*_keywords*.c' -o -name 'oid.[ch]' | xargs touch
make -s -j"$(nproc)"
make -s install
'''


def _built_charon():
    """The folder of its plugins."""
    source, folder = (os.path.join(tree.REPOSITORY, 'build', name) for name in ('strongswan', 'charon-tsan'))
    if not os.path.exists(f'{source}/config.h'):
        raise tree.Broken('there is no build/strongswan: run tools/strongswan-source')
    if not os.path.exists(f'{folder}/root/libexec/ipsec/charon'):
        os.makedirs(folder, exist_ok=True)
        with open(f'{folder}/proof.log', 'wb') as log:
            done = subprocess.run(['sh', '-c', _CHARON, 'sh', source], cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise tree.Broken(f'charon cannot be built: {folder}/proof.log')
    return f'{folder}/root/lib/ipsec/plugins'


def _charon():
    folder = tree.built('tsan', ['all'], ('--enable-thread-sanitizer',))
    shutil.copy(f'{folder}/.libs/libstrongswan-jumping.so', _built_charon())
    done = subprocess.run([f'{tree.REPOSITORY}/tools/lab', 'strongswan', 'threads'], check=False)
    return (1, 0) if done.returncode == 0 else (0, 1)


def run(options):
    if options.charon:
        return _charon()
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
