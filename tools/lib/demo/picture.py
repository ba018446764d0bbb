# SPDX-License-Identifier: GPL-2.0-or-later
"""The board as lines of text: in colour for a terminal, one plain line for each lane elsewhere.

Owns the layout and the glyphs. Writes nothing. Read next: screen.py.

A line is made of pieces, (text, colour) each, so that it can be cut to a width before colours,
which have none, go in.
"""
from lab.run import now_ns

from .history import GAP, NOTHING, PART, TRAFFIC

_CODES = {'bold': '1', 'dim': '2', 'red': '31', 'green': '32', 'yellow': '33', 'cyan': '36', 'title': '1;36'}
_MOODS = {'good': 'green', 'bad': 'red', 'note': 'yellow', 'event': 'bold'}
_GLYPHS = {TRAFFIC: '█', PART: '▓', GAP: '░', NOTHING: '·'}
_ASCII = {TRAFFIC: '#', PART: '+', GAP: '_', NOTHING: ' '}
_CELL_COLOURS = {TRAFFIC: 'green', PART: 'yellow', GAP: 'red', NOTHING: 'dim'}
_INDENT = 2
_LABEL = 6


def paint(text, colour):
    return f'\033[{_CODES[colour]}m{text}\033[0m' if colour else text


def cut(pieces, width):
    """The line of these pieces, not longer than width, with its colours."""
    line = ''
    for text, colour in pieces:
        text = text[:max(0, width)]
        width -= len(text)
        line += paint(text, colour) if text else ''
    return line


def _fit(fields, width):
    """Fields of pieces beside each other, as many as there is room for."""
    line = [(' ' * _INDENT, None)]
    for field in fields:
        if sum(len(text) for text, _ in line + field) <= width:
            line += [*field, ('   ', None)]
    return line


def _or_dash(value, form):
    return form.format(value) if value is not None else '-'


def _facts(lane, width):
    gap = lane.gap_s()
    tcp, mood = lane.tcp_words()
    session = [[('session ', 'dim'), (f'{lane.session[:8]}, generation {lane.generation}', None)]] \
        if lane.session else []
    return [
        [(f'{lane.title:<13} ', 'title'), (f'{lane.state:<12}', _MOODS[lane.mood]), ('  ', None),
         *(session[0] if session else [])],
        _fit([[('binding ', 'dim'), (f'{lane.binding or "-":<21}', None)],
              [('virtual IP ', 'dim'), (lane.address or '-', None)],
              [(f'{lane.host.handshake}s ', 'dim'), (str(lane.handshakes), None)],
              [('client at ', 'dim'), (lane.pair.network.clients[0].addresses[0], None)]], width),
        _fit([[('RTT ', 'dim'), (f'{_or_dash(lane.rtt_ms, "{:.1f} ms"):<8}', None)],
              [('gap ', 'dim'), (f'{_or_dash(gap, "{:.1f} s"):<7}', 'red' if gap else None)],
              [('inner TCP ', 'dim'), (tcp, _MOODS[mood] if mood != 'note' else None)]], width)]


def _bars(board, lane, now, count, glyphs):
    """The ruler with the events' numbers, and one bar for each kind of traffic."""
    newest = lane.histories['downlink'].cell(now)
    ruler = [('-' if glyphs is _ASCII else '─', 'dim')] * count
    for at, number in board.marks:
        column = lane.histories['downlink'].cell(at) - newest + count - 1
        if 0 <= column < count:
            ruler[column] = (str(number), 'bold')
    lines = [[(' ' * (_INDENT + _LABEL), None), *ruler]]
    for label, name in (('UDP', 'downlink'), ('TCP', 'tcp')):
        cells = lane.cells(name, now, count)
        lines.append([(f'{"":<{_INDENT}}{label:<{_LABEL}}', 'dim'),
                      *((glyphs[cell], _CELL_COLOURS[cell]) for cell in cells)])
    return lines


def _happening(board, happening):
    who = f'{happening.lane.short}: ' if happening.lane else ''
    return [(f'  {board.clock(happening.at):>5}  ', 'dim'), (f'{who:<9}' if who else '', None),
            (happening.text, _MOODS[happening.kind])]


def _joined(pieces):
    """Neighbours of one colour as one piece: a bar's escapes are most of what goes to the terminal."""
    joined = []
    for text, colour in pieces:
        if joined and joined[-1][1] == colour:
            joined[-1] = (joined[-1][0] + text, colour)
        else:
            joined.append((text, colour))
    return joined


def lines(board, width, height, unicode):
    """The whole picture, no line longer than width, no more of them than height."""
    now = now_ns()
    glyphs = _GLYPHS if unicode else _ASCII
    count = max(10, width - _INDENT - _LABEL)
    whole = board.clock(board.origin + int(board.expected_s * 1e9))
    picture = [[(f'{board.clock():<5} ', 'bold'), (f'of about {whole}', 'dim'),
                (f'   jumping beside bare {board.title}, through the same events', 'bold')],
               [('now   ', 'dim'), (board.now, 'bold')],
               [('next  ', 'dim'), (board.next_words(), 'cyan')], []]
    for lane in board.lanes:
        picture += [*_facts(lane, width), *_bars(board, lane, now, count, glyphs), []]
    legend = [('  each cell 1 s, to the right is now:', 'dim')]
    for cell, words in ((TRAFFIC, 'traffic'), (PART, 'a part of it'), (GAP, 'none')):
        legend += [(f'  {glyphs[cell]}', _CELL_COLOURS[cell]), (f' {words}', 'dim')]
    picture[-1] = legend
    room = height - len(picture) - 1
    recent = board.happenings[-room:] if room > 0 else []
    picture += [[], *(_happening(board, happening) for happening in recent)]
    return [cut(_joined(line), width) for line in picture[:height]]


def status(board):
    """One line for each lane, without colours, for where nothing can be redrawn."""
    return [f'  {board.clock():>5}  {lane.short + ":":<8} {lane.state}, {lane.binding or "no binding"}, '
            f'RTT {_or_dash(lane.rtt_ms, "{:.0f} ms")}, gap {_or_dash(lane.gap_s(), "{:.1f} s")}, '
            f'TCP {lane.tcp_words()[0]}' for lane in board.lanes]


def plain(board, happening):
    return ''.join(text for text, _ in _happening(board, happening))
