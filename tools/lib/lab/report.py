# SPDX-License-Identifier: GPL-2.0-or-later
"""Results for people and for programs: one run in lines, several as medians, both as JSON.

Owns the wording and the colours. Measures nothing. Read next: cli.py.
"""
import json
import os
import statistics
import sys

_COLOURS = {'bold': '1', 'green': '32', 'red': '31', 'grey': '90'}


def paint(text, colour, stream=sys.stdout):
    """Colour for a person at a terminal only, and not where NO_COLOR asks for none."""
    if not stream.isatty() or os.environ.get('NO_COLOR'):
        return text
    return f'\033[{_COLOURS[colour]}m{text}\033[0m'


def _value(key, value):
    if value is None:
        return 'never' if key.endswith('_s') else 'unknown'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if key.endswith('_s'):
        return f'{value:.2f} s' if isinstance(value, (int, float)) else str(value)
    if key.endswith('_mbit'):
        return f'{value:.0f} Mbit/s'
    return str(value)


def _label(key):
    for unit in ('_s', '_mbit'):
        key = key.removesuffix(unit)
    return key.replace('_', ' ')


def _rows(table, indent='  '):
    lines = []
    for key, value in table.items():
        if isinstance(value, dict):
            lines += [f'{indent}{_label(key)}', *_rows(value, indent + '  ')]
        else:
            lines.append(f'{indent}{_label(key):<{36 - len(indent)}} {_value(key, value)}')
    return lines


def _session(session):
    lines = []
    if 'id_after' in session:
        same = 'the same' if session['same'] else f'then {session["id_after"] or "none"}'
        lines += [f'  session {session["id_before"]}, {same}; generation {session["generation_before"]}, then '
                  f'{session["generation_after"]}']
    for event in session.get('events', []):
        states = f'{event.get("previous_state", "")} -> {event["new_state"]}' if event.get('new_state') else ''
        lines.append(paint(f'    {event["at_s"]:+9.3f} s  {event["end"]:<7} {event["event_type"]:<24} {states} '
                           f'{event.get("reason_code", "")}'.rstrip(), 'grey'))
    return lines


def human(result):
    """One run, as lines of text."""
    lines = [paint(f'{result["host"]} {result["scenario"]}, {"bare" if result["bare"] else "with the plugin"}', 'bold'),
             *_rows(result['figures']), *_rows(result['facts'])]
    lines += _session(result.get('session', {}))
    for name, part in result.get('clients', {}).items():
        if 'session' in part:
            lines += [f'  {name}', *_session(part['session'])]
    lines += [paint(f'  does not hold: {sentence}', 'red') for sentence in result['failed']]
    return '\n'.join(lines)


def summary(results):
    """Of each figure over several runs: median, least, greatest, and in how many runs it never came."""
    table = {}
    for key in results[0]['figures']:
        values = [result['figures'][key] for result in results]
        numbers = [value for value in values if value is not None]
        table[key] = {'median': round(statistics.median(numbers), 3) if numbers else None,
                      'min': min(numbers, default=None), 'max': max(numbers, default=None),
                      'never': len(values) - len(numbers)}
    return table


def human_summary(results):
    lines = [paint(f'{results[0]["scenario"]}: {len(results)} runs, median (least to greatest)', 'bold')]
    for key, row in summary(results).items():
        never = f', never in {row["never"]}' if row['never'] else ''
        values = (f'{_value(key, row["median"])} ({_value(key, row["min"])} to {_value(key, row["max"])})'
                  if row['median'] is not None else 'no figure')
        lines.append(f'  {_label(key):<34} {values}{never}')
    return '\n'.join(lines)


def as_json(results):
    """One object: the run itself, or with several runs all of them and their summary."""
    if len(results) == 1:
        return json.dumps(results[0])
    return json.dumps({'host': results[0]['host'], 'scenario': results[0]['scenario'], 'bare': results[0]['bare'], 'runs': results,
                       'summary': summary(results), 'failed': sorted({f for r in results for f in r['failed']})})
