# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of tools/demo, the order of things, the exit status."""
import argparse
import os
import sys

from lab.jumping import Stage
from lab.network import REPOSITORY
from lab.run import Fault, Run, Stopped, raise_on_signals, say

from . import ending, prepare
from .board import Board
from .hosts import HOSTS
from .screen import open_screen
from .script import Script, expected_s

_HOLE_S = 60
_FAST_HOLE_S = 20
_DEFAULT_OUT = f'{REPOSITORY}/build/demo'

_EPILOG = '''
What happens: two pairs of OpenVPN (or of strongSwan's charon), one with jumping and one without, come
up in network namespaces of their own; nothing of this machine's network is touched. Both go through the same events at the same
moments: start; NAT rebinding while only the server sends; another address of the client; a hole of
60 s with an inner TCP connection; stop. A live timeline shows both; where stdout is no terminal or
NO_COLOR is set, plain lines do. At the end: a table, the audit log verified and replayed, a picture.

examples:
  sudo tools/demo                 OpenVPN, about 2.5 minutes once packages are there and it is built
  sudo tools/demo strongswan      the same with strongSwan
  sudo tools/demo --fast          about 1 minute; the hole is too short for OpenVPN's own time-out of 60 s
  sudo tools/demo | tee demo.txt  plain lines

Exit status: 0 what jumping promises was seen (same session_id, same inner TCP connection, same
virtual IP, no new handshake, strongSwan: same IKE and ESP SPIs, audit log verified and replayed), 1 it was not, 2 the demo could
not do its work, 130 it was stopped. Everything it made but the folder DIR is gone afterwards.
'''


def _arguments():
    parser = argparse.ArgumentParser(
        prog='tools/demo', formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_EPILOG,
        description='See a VPN session keep its identity through a changing network, beside a bare one. Needs root.')
    parser.add_argument('host', nargs='?', choices=HOSTS, default='openvpn', help='default: openvpn')
    parser.add_argument('--fast', action='store_true', help=f'a hole of {_FAST_HOLE_S} s instead of {_HOLE_S} s')
    parser.add_argument('--no-install', action='store_true', help='install no packages, even if some are missing')
    parser.add_argument('--out', metavar='DIR',
                        help='where picture, logs and results go (default: build/demo, build/demo-strongswan)')
    parser.add_argument('--stage', metavar='DIR',
                        help='build nothing, take the install tree that tools/build --destdir DIR made')
    parser.add_argument('--without-plugin', action='store_true',
                        help='for work on the demo itself: both pairs bare, nothing built, promised or audited')
    return parser.parse_args()


def _prepare(arguments, out):
    """Returns the install tree; None without the plugin."""
    if not arguments.no_install:
        prepare.install(out)
    if arguments.without_plugin:
        return None
    stage = os.path.abspath(arguments.stage) if arguments.stage else prepare.build(out, arguments.host)
    Stage.must_hold_plugin(stage, arguments.host)
    return stage


def _play(host, stage, hole_s, out):
    """Returns the rows of results and the lane of jumping; everything else of the run is gone then."""
    with Run() as run:
        plugin = Stage(run, stage, host=host.name) if stage else None
        board = Board([], host.title, expected_s(hole_s, host))
        board.lanes = lanes = [
            host.lane(host, 'JUMPING' if plugin else 'BARE 1', 'jumping' if plugin else 'bare1',
                      host.pair(run, 'j', plugin), board.origin),
            host.lane(host, f'BARE {host.program.upper()}' if plugin else 'BARE 2', 'bare' if plugin else 'bare2',
                      host.pair(run, 'b'), board.origin)]
        try:
            with open_screen() as screen:
                rows = Script(board, screen, hole_s, host).play()
        except Fault as fault:
            raise Fault(f'{fault}\nlast lines of each log:\n{run.tails()}') from None
        finally:
            ending.keep(run, lanes, out)
    return rows, lanes[0]


def _demo(arguments, out):
    stage = _prepare(arguments, out)
    rows, lane = _play(HOSTS[arguments.host], stage, _FAST_HOLE_S if arguments.fast else _HOLE_S, out)
    print()
    ending.show_table(rows, lane.host)
    print()
    wrong = []
    if stage:
        wrong = ending.audit(stage, lane, out)
        print()
        wrong = ending.promised(rows, lane) + wrong
        ending.verdict(wrong, lane)
        print(f'Picture: {ending.near(out)}/timeline.svg')
    ending.write_json(rows, wrong, out)
    print(f'Logs, configs, audit files, results.json: {ending.near(out)}/')
    return 1 if wrong else 0


def main():
    arguments = _arguments()
    if os.geteuid() != 0:
        say('demo: it makes network namespaces, which needs root: sudo tools/demo')
        return 2
    raise_on_signals()
    out = os.path.abspath(arguments.out or (_DEFAULT_OUT if arguments.host == 'openvpn' else
                                            f'{_DEFAULT_OUT}-{arguments.host}'))
    try:
        os.makedirs(out, exist_ok=True)
        try:
            return _demo(arguments, out)
        finally:
            ending.give_away(out)
    except Fault as fault:
        say(f'demo: {fault}')
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # The reader of our output went away; keep the interpreter from complaining about it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 130
        say(f'demo: {error}')
        return 2
    except Stopped as stopped:
        say(f'demo: stopped by {stopped}')
        return 130
