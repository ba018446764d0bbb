# SPDX-License-Identifier: GPL-2.0-or-later
"""The end: the table, the audit log verified and replayed, the picture, the verdict.

Owns what is kept of a run and where. Judges only by what the script's rows and jumpctl say.
"""
import contextlib
import dataclasses
import glob
import json
import os
import shlex
import shutil
import subprocess

from . import picture
from .screen import colours

_FORM = '{:<18}{:<8}{:>8}{:>8}{:>9}  {:<8}{:<6}{:<6}{:<5}{:<3}'
_NOTES = '''downtime: without a packet from server to client (one is sent each 20 ms).
back after, of the inner TCP connection too: counted from when there is a usable
path again. same: as before the event. {0} {1}: new {2}s of the client.{3}'''
_SPIS = '\nSPIs: those of the IKE_SA and of its CHILD_SA, at both ends.'


def _paint(text, colour):
    return picture.paint(text, colour) if colours() else text


def _cells(row):
    def span(value):
        return (f'> {row.waited_s:.0f} s' if value is None else f'{value:.2f} s') if row.measured else '-'
    tcp = span(row.tcp_back_s) if row.connection else '-'
    return (row.event, row.lane, span(row.downtime_s), span(row.back_s), tcp, row.session or '-',
            row.virtual_ip or '-', row.connection or '-', row.spis or '-', str(row.handshakes))


def show_table(rows, host):
    form = _FORM if host.spis else _FORM.replace('{:<5}', '{:.0}')
    heads = (('', '', 'downtime', 'back', 'TCP back', 'session', 'virt.', 'TCP', 'SPIs', host.column[0]),
             ('event', '', '', 'after', 'after', 'id', 'IP', 'conn.', '', host.column[1]))
    print('\n'.join(_paint(form.format(*head).rstrip(), 'bold') for head in heads))
    event = None
    for row in rows:
        line = form.format(*_cells(row)).rstrip()
        if row.event == event:
            line = ' ' * 18 + line[18:]
        event = row.event
        lost = 'lost' in (row.session, row.virtual_ip, row.connection) or (row.measured and row.handshakes > 0)
        print(_paint(line, 'red') if lost else line)
    print(_paint(_NOTES.format(*host.column, host.handshake, _SPIS if host.spis else ''), 'dim'))


def keep(run, lanes, out):
    """Copy configs, logs, records and audit files from the run's folder, before that is removed."""
    for lane in lanes:
        folder = f'{out}/{lane.short}'
        os.makedirs(folder, exist_ok=True)
        for path in glob.glob(f'{lane.pair.folder}/*'):
            if path.endswith(('.conf', '.jsonl', '.record')):
                shutil.copy(path, folder)
            elif path.endswith('.state'):
                # With the chain's key: whoever likes can verify once more. It protects nothing but this log.
                shutil.copytree(path, f'{folder}/{os.path.basename(path)}', dirs_exist_ok=True)
        for path in glob.glob(f'{lane.pair.folder}/*/*.conf'):  # of charons: two files in a folder each
            shutil.copy(path, f'{folder}/{os.path.basename(os.path.dirname(path))}-{os.path.basename(path)}')
        for path in glob.glob(f'{run.folder}/{lane.pair.label}-*.log'):
            shutil.copy(path, f'{folder}/{os.path.basename(path).removeprefix(lane.pair.label + "-")}')


def give_away(out):
    """Under sudo, what is kept belongs to the person who typed it."""
    user, group = (os.environ.get(name, '') for name in ('SUDO_UID', 'SUDO_GID'))
    if not (user.isdigit() and group.isdigit()):
        return
    for folder, _, files in os.walk(out):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            with contextlib.suppress(OSError):
                os.lchown(path, int(user), int(group))


def near(path):
    """The path as a person here would type it."""
    relative = os.path.relpath(path)
    return path if relative.startswith('..') else relative


def _jumpctl(stage, *words):
    """Run jumpctl and show command and output. Whether it was content."""
    words = [near(f'{stage}/usr/bin/jumpctl'), *words]
    print(_paint(f'$ {shlex.join(words)}', 'bold'), flush=True)
    try:
        # Its output goes where ours goes: it colours by itself.
        return subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode == 0
    except OSError as error:
        print(error.strerror)
        return False


def audit(stage, lane, out):
    """Verify, replay and draw the audit files of one lane. Returns the sentences that do not hold."""
    wrong = []
    files = {end.name: near(f'{out}/{lane.short}/{end.name}.jsonl') for end in (lane.client.end, lane.pair.server.end)}
    for name, file in files.items():
        if not _jumpctl(stage, 'audit', 'verify', '--state', file.replace('.jsonl', '.state'), file):
            wrong.append(f'the chain of the audit log of {name} is unbroken')
        if not _jumpctl(stage, 'audit', 'replay', file):
            wrong.append(f'the audit log of {name} comes out of the transition table as it was recorded')
    if not _jumpctl(stage, 'audit', 'plot', *files.values(), '-o', near(f'{out}/timeline.svg')):
        wrong.append('the audit log could be drawn')
    return wrong


def promised(rows, lane):
    """What was promised of one lane and was not seen, as sentences."""
    mine = [row for row in rows if row.lane == lane.short]
    wrong = [f'{row.event}: {sentence}' for row in mine for sentence in row.wrong]
    if lane.plugin and mine[-1].session != 'same':
        wrong.append('5 stop: the session that ended is the one that began')
    if mine[-1].handshakes:
        wrong.append(f'one {lane.host.handshake} in all, at the start ({1 + mine[-1].handshakes} took place)')
    return wrong


def write_json(rows, wrong, out):
    with open(f'{out}/results.json', 'w', encoding='utf-8') as file:
        json.dump({'rows': [dataclasses.asdict(row) for row in rows], 'failed': wrong}, file, indent=2)
        file.write('\n')


def verdict(wrong, lane):
    if not wrong:
        spis = ', the SPIs of its SAs' if lane.host.spis else ''
        print(_paint(f'Seen: through all events {lane.short} kept one session_id, one virtual IP, one inner TCP\n'
                     f'connection{spis} and one {lane.host.handshake}, and its audit log proves it.', 'green'))
    for sentence in wrong:
        print(_paint(f'Does not hold: {sentence}', 'red'))
