# SPDX-License-Identifier: GPL-2.0-or-later
"""The terminal: the picture redrawn in place, or plain lines where that cannot or should not be.

Owns stdout while the script plays, and the cursor. Whatever ends the demo, close() gives the
terminal back as it was. Read next: picture.py, which makes the text.
"""
import contextlib
import os
import shutil
import sys

from lab.run import now_ns

from . import picture

_HIDE, _SHOW = '\033[?25l', '\033[?25h'
_NO_WRAP, _WRAP = '\033[?7l', '\033[?7h'
_STATUS_EVERY_NS = 5_000_000_000


def colours():
    return sys.stdout.isatty() and not os.environ.get('NO_COLOR') and os.environ.get('TERM') not in (None, 'dumb')


def unicode():
    return (sys.stdout.encoding or '').lower().replace('-', '') == 'utf8'


def open_screen():
    return _Live() if colours() else _Plain()


class _Live:
    """Draws over itself. A size that changed leaves remains of the old picture, so it clears everything."""

    def __init__(self):
        self._rows = 0
        self._size = None

    def __enter__(self):
        sys.stdout.write(_HIDE + _NO_WRAP)
        return self

    def __exit__(self, *_):
        # The terminal may be gone, which must not stand in the way of the clean-up.
        with contextlib.suppress(OSError):
            sys.stdout.write(f'{_WRAP}{_SHOW}\n')
            sys.stdout.flush()

    def show(self, board):
        size = shutil.get_terminal_size()
        # Not the last column: to erase the rest of a line that is full erases its last character.
        lines = picture.lines(board, size.columns - 1, size.lines - 1, unicode())
        if self._size not in (None, size):
            start = '\033[2J\033[H'
        else:
            start = f'\r\033[{self._rows}A' if self._rows else '\r'
        sys.stdout.write(start + '\033[K\n'.join(lines) + '\033[K\033[J')
        sys.stdout.flush()
        self._size, self._rows = size, len(lines) - 1


class _Plain:
    """What happened, line by line as it happens, and how both stand every few seconds."""

    def __init__(self):
        self._shown = 0
        self._announced = None
        self._status_at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def show(self, board):
        for happening in board.happenings[self._shown:]:
            print(picture.plain(board, happening))
        self._shown = len(board.happenings)
        if board.next != self._announced:
            print(f'         next {board.next_words()}')
            self._announced = board.next
        if now_ns() >= self._status_at:
            self._status_at = now_ns() + _STATUS_EVERY_NS
            print('\n'.join(picture.status(board)))
        sys.stdout.flush()
