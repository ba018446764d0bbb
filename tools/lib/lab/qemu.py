# SPDX-License-Identifier: GPL-2.0-or-later
"""As uml.py, on the kernel that Debian's machines run: QEMU, for what user-mode Linux has not either, nft above all.

Owns how it is started and the little file system that its kernel begins with. The kernel is no installed package: it is
what tools/debian-kernel left in build/kernel. Never with KVM, which is not everywhere, nor works wherever it is: so it is slow.
Read next: uml.py.
"""
import gzip
import os
import shutil

from .run import REPOSITORY, Fault, command
from .uml import INIT, Machine

_PROGRAM = 'qemu-system-x86_64'
_BUSYBOX = '/bin/busybox'
_ROOT = f'{REPOSITORY}/build/kernel'
_FIRST_MODULES = ('virtio_pci', '9pnet_virtio', '9p', 'overlay')
# The root outside becomes ours, read-only; uml_init.py does the rest, as in user-mode Linux.
_FIRST = '''#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
while read -r module; do /bin/busybox insmod "$module"; done </modules
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro,cache=loose root /new || /bin/busybox poweroff -f
/bin/busybox umount /proc
exec /bin/busybox switch_root /new "$LAB_INIT"
'''


class Qemu(Machine):
    name = 'QEMU'

    @staticmethod
    def _must_be_there():
        if not shutil.which(_PROGRAM) or not os.path.exists(_BUSYBOX):
            raise Fault('no QEMU here: install the packages qemu-system-x86 and busybox-static')
        if not os.path.exists(_ROOT):
            raise Fault('no Debian kernel for QEMU here: run tools/debian-kernel')

    def _words(self, exchange):
        release = os.listdir(f'{_ROOT}/lib/modules')[0]
        modules = f'{_ROOT}/lib/modules/{release}'
        self._write_first(modules, f'{exchange}/first')
        line = ' '.join(['console=ttyS0', 'panic=-1', 'quiet', 'loglevel=3', 'mitigations=off', 'nokaslr', 'tsc=reliable', 'apparmor=0',
                         f'LAB_EXCHANGE={exchange}', f'LAB_INIT={INIT}', f'LAB_MODULES={modules}'])
        return [_PROGRAM, '-M', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max,la57=off', '-smp', '2', '-m', str(self._memory_mb), '-nographic',
                '-nodefaults', '-no-reboot', '-serial', 'stdio', '-kernel', f'{_ROOT}/boot/vmlinuz-{release}',
                '-initrd', f'{exchange}/first', '-append', line,
                '-virtfs', 'local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap',
                '-virtfs', f'local,path={exchange},mount_tag=exchange,security_model=none']

    @staticmethod
    def _write_first(modules, path):
        """An archive of the kind that a kernel unpacks as its first root (cpio, newc)."""
        wanted = []
        for name in _FIRST_MODULES:
            shown = command('modprobe', '-d', _ROOT, '-S', os.path.basename(modules), '--show-depends', name)
            wanted += [line.split()[1] for line in shown.splitlines() if line.startswith('insmod ')]
        wanted = list(dict.fromkeys(wanted))
        files = {name: (0o40755, b'') for name in ('bin', 'proc', 'dev', 'new', 'm')}
        for name, mode, source in (('bin/busybox', 0o100755, _BUSYBOX),
                                   *((f'm/{os.path.basename(each)}', 0o100644, each) for each in wanted)):
            with open(source, 'rb') as file:
                files[name] = (mode, file.read())
        files['init'] = (0o100755, _FIRST.encode())
        files['modules'] = (0o100644, ''.join(f'/m/{os.path.basename(each)}\n' for each in wanted).encode())
        with gzip.open(path, 'wb', compresslevel=1) as out:
            for number, (name, (mode, content)) in enumerate([*files.items(), ('TRAILER!!!', (0, b''))], 1):
                numbers = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
                head = '070701' + ''.join(f'{value:08X}' for value in numbers) + name + '\0'
                out.write(head.encode() + bytes(-len(head) % 4) + content + bytes(-len(content) % 4))
