#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Inside a machine of uml.py or qemu.py: the first process, and what systemd runs as its one service.

Owns the root that is a copy-on-write view of the files outside, the kernel's modules, and the powering off. Never to be
run outside: without its variable in the environment it does nothing.
"""
import contextlib
import ctypes
import json
import os
import subprocess
import sys
import traceback

_MODULES = ('tun', 'veth', 'bridge', 'sch_netem', 'sch_tbf', 'ip_tables', 'iptable_filter', 'iptable_nat', 'iptable_mangle',
            'ip6table_filter', 'ip6table_nat', 'xt_MASQUERADE', 'xt_conntrack', 'nf_conntrack_netlink', 'xfrm_user', 'esp4',
            'esp6', 'esp4_offload', 'xfrm_algo', 'gcm', 'seqiv', 'nft_xfrm', 'nft_log', 'nft_reject_inet', 'nfnetlink_log',
            'nft_chain_nat', 'nft_masq')
_EXCHANGE = os.environ.get('LAB_EXCHANGE')
# Of another kernel than user-mode Linux: where its modules are. They are loaded as far as a root needs them.
_MODULES_OF_QEMU = os.environ.get('LAB_MODULES')
_MS_MOVE = 8192
_POWER_OFF = 0x4321FEDC
_LIBC = ctypes.CDLL(None, use_errno=True)
# Not of the machine outside: what would wait for a device or a network, or change what is only a view.
_MASKED = ('systemd-udevd.service', 'systemd-udev-trigger.service', 'systemd-udevd-control.socket',
           'systemd-udevd-kernel.socket', 'systemd-remount-fs.service', 'systemd-firstboot.service',
           'systemd-random-seed.service', 'systemd-timesyncd.service', 'systemd-networkd.service', 'networking.service',
           'systemd-networkd-wait-online.service', 'ifupdown-wait-online.service', 'NetworkManager-wait-online.service',
           'systemd-binfmt.service', 'proc-sys-fs-binfmt_misc.automount', 'systemd-sysctl.service', 'swap.target', 'timers.target', 'tmp.mount',
           'modprobe@configfs.service', 'modprobe@dm_mod.service', 'modprobe@efi_pstore.service', 'modprobe@fuse.service',
           'modprobe@loop.service', 'modprobe@drm.service')
_SERVICE = '''[Unit]
Description=The command of the lab
Requires=basic.target
After=basic.target
[Service]
Type=exec
ExecStart={init}
Environment=LAB_EXCHANGE={exchange}
TasksMax=infinity
'''


def _mount(kind, source, target, flags=0, options=''):
    os.makedirs(target, exist_ok=True)
    if _LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f'mount {kind} on {target}: {os.strerror(ctypes.get_errno())}')


def _power_off():
    os.sync()
    _LIBC.reboot(ctypes.c_int(_POWER_OFF))


def _change_root():
    """From the files outside, read-only, to a root of ours above them; what we write is in memory."""
    modules = _MODULES_OF_QEMU or f'/usr/lib/uml/modules/{os.uname().release}'
    if not _MODULES_OF_QEMU:
        subprocess.run(['/sbin/insmod', f'{modules}/kernel/fs/overlayfs/overlay.ko'], check=True)
    _mount('tmpfs', 'lab', '/mnt', options='size=75%,mode=755')
    for name in ('upper', 'work'):
        os.mkdir(f'/mnt/{name}')
    new = '/mnt/new'
    _mount('overlay', 'lab', new, options='lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work')
    for kind, place, options in (('proc', 'proc', ''), ('sysfs', 'sys', ''), ('devtmpfs', 'dev', ''),
                                 ('devpts', 'dev/pts', 'ptmxmode=666'), ('tmpfs', 'dev/shm', 'mode=1777'),
                                 ('tmpfs', 'run', 'mode=755')):
        _mount(kind, kind, f'{new}/{place}', options=options)
    if _MODULES_OF_QEMU:
        _mount('9p', 'exchange', f'{new}{_EXCHANGE}', options='trans=virtio,version=9p2000.L,msize=262144')
    else:
        _mount('hostfs', 'none', f'{new}{_EXCHANGE}', options=_EXCHANGE)
    for place in ('run/lock', 'run/netns', 'lib/modules'):
        os.makedirs(f'{new}/{place}', exist_ok=True)
    os.symlink(modules, f'{new}/lib/modules/{os.uname().release}')
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f'{new}/.dockerenv')  # outside may be a container; this is none
    os.chdir(new)
    _mount('none', new, '/', _MS_MOVE)
    os.chroot('.')
    os.chdir('/')


def _prepare():
    subprocess.run(['modprobe', '-a', '-q', *_MODULES], check=False)
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)


def _become_systemd():
    folder = '/run/systemd/system'
    os.makedirs(folder)
    for name in _MASKED:
        os.symlink('/dev/null', f'{folder}/{name}')
    os.makedirs('/run/tmpfiles.d')
    os.symlink('/dev/null', '/run/tmpfiles.d/tmp.conf')  # it would empty /tmp, where we may be
    with open(f'{folder}/lab.service', 'w', encoding='ascii') as file:
        file.write(_SERVICE.format(init=os.path.abspath(__file__), exchange=_EXCHANGE))
    os.execv('/lib/systemd/systemd', ['/lib/systemd/systemd', '--unit=lab.service', '--show-status=0'])


def _command(job):
    """Run it, and as the first process wait for everything else that ends, too."""
    with open('/proc/uptime', encoding='ascii') as file:
        booted = float(file.read().split()[0])
    with open(f'{_EXCHANGE}/out', 'wb') as out, open(f'{_EXCHANGE}/err', 'wb') as err:
        child = subprocess.Popen(job['words'], cwd=job['folder'], env=job['environment'], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=err, start_new_session=True)
        while True:
            pid, status = os.wait()
            if pid == child.pid:
                break
    with open(f'{_EXCHANGE}/status.json', 'w', encoding='ascii') as file:
        json.dump({'status': os.waitstatus_to_exitcode(status), 'booted_s': booted}, file)


def main():
    with open(f'{_EXCHANGE}/job.json', encoding='utf-8') as file:
        job = json.load(file)
    if os.getpid() == 1:
        os.environ['PATH'] = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
        _change_root()
        _prepare()
        if job['systemd']:
            _become_systemd()
    _command(job)


if __name__ == '__main__' and _EXCHANGE:
    try:
        main()
    except BaseException:  # pylint: disable=broad-except  (whatever it is: a first process must not just end)
        traceback.print_exc()
        sys.stdout.flush()
    _power_off()
