# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions to a charon through its vici socket, without the cost of a swanctl for each.

Owns the encoding of vici messages (strongSwan's src/libcharon/plugins/vici/README.md describes it). Knows nothing
of what is asked. Read next: strongswan.py.
"""
import socket
import struct

from .run import Fault

_REQUEST, _RESPONSE, _REGISTER, _CONFIRM, _EVENT = 0, 1, 3, 5, 7
_SECTION, _SECTION_END, _VALUE, _LIST, _ITEM, _LIST_END = range(1, 7)
_LONGEST = 512 * 1024


def _name(text):
    return bytes([len(text)]) + text.encode()


def _long(text):
    data = str(text).encode()
    return struct.pack('!H', len(data)) + data


def _encode(table):
    out = b''
    for key, value in table.items():
        if isinstance(value, dict):
            out += bytes([_SECTION]) + _name(key) + _encode(value) + bytes([_SECTION_END])
        elif isinstance(value, (list, tuple)):
            items = b''.join(bytes([_ITEM]) + _long(item) for item in value)
            out += bytes([_LIST]) + _name(key) + items + bytes([_LIST_END])
        else:
            out += bytes([_VALUE]) + _name(key) + _long(value)
    return out


class _Reader:
    def __init__(self, data):
        self._data = data
        self._at = 0

    def more(self):
        return self._at < len(self._data)

    def take(self, count):
        self._at += count
        return self._data[self._at - count:self._at]

    def byte(self):
        return self.take(1)[0]

    def name(self):
        return self.take(self.byte()).decode()

    def long(self):
        return self.take(struct.unpack('!H', self.take(2))[0]).decode(errors='replace')


def _decode(reader):
    table = {}
    while reader.more():
        kind = reader.byte()
        if kind == _SECTION_END:
            break
        name = reader.name()
        if kind == _SECTION:
            table[name] = _decode(reader)
        elif kind == _VALUE:
            table[name] = reader.long()
        elif kind == _LIST:
            table[name] = []
            while reader.byte() == _ITEM:
                table[name].append(reader.long())
        else:
            raise Fault(f'vici: element {kind}')
    return table


class Vici:
    """One connection to one charon; a context manager."""

    def __init__(self, path, timeout=10):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise Fault(f'vici {path}: {error}') from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def ask(self, command, table=None, event=None):
        """The answer to a command; with event, the list of what was streamed under that name before it."""
        try:
            if event:
                self._send(_REGISTER, event)
                if self._receive()[0] != _CONFIRM:
                    raise Fault(f'vici: no event {event}')
            self._send(_REQUEST, command, table)
            streamed = []
            while True:
                kind, name, answer = self._receive()
                if kind == _RESPONSE:
                    return streamed if event else answer
                if kind != _EVENT:
                    raise Fault(f'vici: {command} is not known')
                if name == event:
                    streamed.append(answer)
        except OSError as error:
            raise Fault(f'vici {command}: {error}') from None

    def _send(self, kind, name, table=None):
        packet = bytes([kind]) + _name(name) + _encode(table or {})
        self._socket.sendall(struct.pack('!I', len(packet)) + packet)

    def _receive(self):
        length = struct.unpack('!I', self._exactly(4))[0]
        if not 0 < length <= _LONGEST:
            raise Fault(f'vici: a message of {length} bytes')
        reader = _Reader(self._exactly(length))
        kind = reader.byte()
        return kind, reader.name() if kind == _EVENT else '', _decode(reader)

    def _exactly(self, count):
        data = b''
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise OSError('the connection was closed')
            data += part
        return data
