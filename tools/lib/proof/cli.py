# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of tools/proof.

A part is a module with SUMMARY, arguments(parser) and run(options), which returns how many (passed, failed). Its module
docstring is the part's help. Owns the words, the last line and the exit status; knows nothing of what a part does.
"""
import argparse
import sys

from . import attacks, coverage, fuzz, model, sim, static, threads, timing, tree

PARTS = {'attacks': attacks, 'coverage': coverage, 'fuzz': fuzz, 'model': model, 'sim': sim, 'static': static, 'threads': threads, 'timing': timing}


def main():
    parser = argparse.ArgumentParser(prog='tools/proof', description='Looks for a broken promise; docs/proof.md says what is '
                                                                      'proved, what is only tested and what is assumed.')
    parts = parser.add_subparsers(dest='part', required=True, metavar='PART')
    for name, part in PARTS.items():
        words = parts.add_parser(name, help=part.SUMMARY, description=part.__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
        part.arguments(words)
    options = parser.parse_args()
    try:
        passed, failed = PARTS[options.part].run(options)
    except tree.Broken as broken:
        print(f'tools/proof: {broken}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('tools/proof: stopped', file=sys.stderr)
        return 2
    print(f'{passed} passed, {failed} failed')
    return 0 if passed and not failed else 1
