# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of tools/lab.

Owns the words, the exit status and who gets to see what. Knows no scenario by name.
"""
import argparse
import dataclasses
import os
import sys

from . import report, scenarios, uml  # noqa: F401  (scenarios fills the list)
from .cgroups import sweep as sweep_groups
from .check import check
from .jumping import Stage
from .qemu import Qemu
from .run import REPOSITORY, Fault, Run, Stopped, raise_on_signals, say, sweep
from .siege import rows_unsaid
from .story import HOSTS, SCENARIOS, WAYS, Options

_EPILOG = '''
examples:
  tools/lab list                                     the scenarios
  tools/lab openvpn smoke --bare                     OpenVPN alone: is the machine fit for the lab?
  tools/lab openvpn hole --hole 20                   with the plugin that tools/build staged
  tools/lab openvpn nat-rebind-oneway --repeat 5     medians
  tools/lab strongswan nat-rebind-both --bare        the same for strongSwan
  tools/lab check                                    every scenario once, asserted

Each run has namespaces and a folder of its own (/tmp/jl-PID), so runs may go side by side; all of
it is removed at the end. Needs root. Exit status: 0 it holds, 1 it does not, 2 the lab could not
do its work.
'''


def _arguments():
    parser = argparse.ArgumentParser(
        prog='tools/lab', formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_EPILOG,
        description='Real OpenVPN and strongSwan in network namespaces, with a network that breaks on purpose; how long is the gap, '
                    'and is the session still the same?')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--stage', default=f'{REPOSITORY}/build/stage', metavar='DIR', type=os.path.abspath,
                        help='install tree made by tools/build --destdir DIR (default: build/stage)')
    common.add_argument('--policy', default='mobile', metavar='NAME', help='policy profile (default: mobile)')

    either = argparse.ArgumentParser(add_help=False)
    either.add_argument('--bare', action='store_true', help='the host without the plugin; measures, asserts nothing')
    either.add_argument('--repeat', type=int, default=1, metavar='N',
                        help='N runs; median, least, greatest of each figure')
    either.add_argument('--json', action='store_true', help='one JSON object on stdout instead of text')
    either.add_argument('--hole', type=float, default=60, metavar='SECONDS',
                        help='length of a black hole (default: 60)')
    either.add_argument('--loss', type=float, default=5, metavar='PERCENT', help='random loss each way (default: 5)')
    either.add_argument('--length', type=float, default=20, metavar='SECONDS',
                        help='how long a bad path lasts (default: 20)')
    either.add_argument('--family', type=int, choices=(4, 6), default=4, help='IP outside of the tunnel (default: 4)')
    either.add_argument('--kernel', nargs='?', const='uml', choices=('uml', 'qemu'),
                        help='in a machine of its own with Debian\'s kernel, which has strongSwan\'s ESP then (default: '
                             'this kernel, and ESP in userspace by kernel-libipsec): uml, user-mode Linux, is meant by '
                             '--kernel alone; qemu has nft too (tools/debian-kernel)')
    either.add_argument('--keep', action='store_true', help='keep the folder with configs, logs and records')

    openvpn = commands.add_parser('openvpn', parents=[common, either], help='run one scenario on OpenVPN')
    openvpn.add_argument('scenario', choices=SCENARIOS['openvpn'], metavar='SCENARIO', help='a name from tools/lab list')
    openvpn.add_argument('--clients', type=int, default=300, metavar='N', help='how many a crowd is (default: 300)')
    openvpn.add_argument('--seed', type=int, default=0, metavar='N', help='of the weather; 0: drawn anew (default)')
    openvpn.add_argument('--keepalive', metavar='"PING RESTART"',
                         help='keepalive of both config files; "none": of neither (default: 10 60, server only)')
    openvpn.add_argument('--detached', action='store_true',
                         help='daemon, user nobody, group nogroup in both config files, as a service runs')
    openvpn.add_argument('--way', choices=WAYS, help='how an uplink goes (default: each in turn, where it matters)')
    openvpn.add_argument('--plain', action='store_true', help='uplinks without redirect-gateway')
    openvpn.add_argument('--only', metavar='NAME[,NAME]', help='of configurations or of what a16-flood compares: these alone')

    swan = commands.add_parser('strongswan', parents=[common, either], help='run one scenario on strongSwan')
    swan.add_argument('scenario', choices=SCENARIOS['strongswan'], metavar='SCENARIO', help='a name from tools/lab list')
    swan.add_argument('--auth', choices=('psk', 'cert', 'eap-md5', 'eap-mschapv2'), default='psk',
                      help='how the client proves who it is (default: psk)')
    swan.add_argument('--clients', type=int, default=200, metavar='N', help='how many a crowd is (default: 200)')
    swan.add_argument('--no-reject', dest='reject', action='store_false',
                      help='with --kernel: no rejections, as with reject = no')
    swan.add_argument('--wait', type=float, default=30, metavar='SECONDS',
                      help='how long to wait for traffic after an event (default: 30)')

    checking = commands.add_parser('check', parents=[common], help='every scenario once, with the plugin, asserted')
    checking.add_argument('scenario', nargs='*', metavar='SCENARIO', help='these only (default: all)')
    checking.add_argument('--host', choices=HOSTS, help='of this host only')
    commands.add_parser('list', help='list the scenarios')
    commands.add_parser('clean', help='remove what runs left behind that were killed with SIGKILL')
    return parser.parse_args()


def _run_once(entry, arguments):
    """One run of a scenario; on any trouble the logs' last lines go to stderr before they are removed."""
    options = Options(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Options)
                         if hasattr(arguments, field.name)})
    with Run(keep=arguments.keep) as run:
        try:
            result = entry.tell(entry.story(run, options))
            result['failed'] = [] if arguments.bare else entry.expect(result) + rows_unsaid(entry, result)
        except Exception:
            _say_tails(run)
            raise
        if result['failed']:
            _say_tails(run)
    return {'host': entry.story.host, 'scenario': entry.name, 'bare': options.bare, 'options': dataclasses.asdict(options), **result}


def _say_tails(run):
    if tails := run.tails():
        say(f'last lines of each log:\n{tails}')


def _in_machine(arguments):
    """The same command line there; what it says comes out here."""
    with Run(arguments.keep) as run:
        done = uml.again(run, 3600, kind=Qemu if arguments.kernel == 'qemu' else uml.Machine)
        print(done.out, end='', flush=True)
        return done.status


def _scenario(arguments):
    if arguments.kernel and not uml.inside():
        return _in_machine(arguments)
    entry = SCENARIOS[arguments.command][arguments.scenario]
    results = []
    for number in range(arguments.repeat):
        say(f'{entry.name}{f" {number + 1}/{arguments.repeat}" if arguments.repeat > 1 else ""}')
        results.append(_run_once(entry, arguments))
        if not arguments.json:
            print(report.human(results[-1]), flush=True)
    if arguments.json:
        print(report.as_json(results))
    elif arguments.repeat > 1:
        print(report.human_summary(results))
    return 1 if any(result['failed'] for result in results) else 0


def _dispatch(arguments, program):
    if arguments.command == 'list':
        for host, entries in SCENARIOS.items():
            print(f'{host}:')
            for entry in entries.values():
                print(f'  {entry.name:<22} {entry.summary}')
        return 0
    if os.geteuid() != 0:
        raise Fault('namespaces need root: run it with sudo')
    if arguments.command == 'clean':
        for name in sweep():
            print(f'removed {name}')
        sweep_groups()
        return 0
    if arguments.command == 'check':
        hosts = [arguments.host] if arguments.host else HOSTS
        unknown = [name for name in arguments.scenario if not any(name in SCENARIOS[host] for host in hosts)]
        if unknown:
            raise Fault(f'no such scenario: {", ".join(unknown)}; see tools/lab list')
        hosts = [host for host in hosts if _has_part(host, arguments)]
        common = ['--stage', arguments.stage, '--policy', arguments.policy]
        return check(program, common, hosts, arguments.scenario)
    return _scenario(arguments)


def _has_part(host, arguments):
    """Whether the check covers this host. It may leave one out only where the stage cannot have its plugin, and says so."""
    why = None if arguments.host else Stage.without_plugin(arguments.stage, host)
    if not why:
        Stage.must_hold_plugin(arguments.stage, host)
        return True
    print(f'left out: {host}: {why}', flush=True)
    return False


def main(program):
    arguments = _arguments()
    raise_on_signals()
    try:
        return _dispatch(arguments, program)
    except Fault as fault:
        say(f'lab: {fault}')
        return 2
    except Stopped as stopped:
        say(f'lab: stopped by {stopped}')
        return 130
    except BrokenPipeError:
        # The reader of our output went away; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 130
