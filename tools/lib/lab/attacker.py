# SPDX-License-Identifier: GPL-2.0-or-later
"""What an attacker without a key can do: listen, keep what he hears, send it again, forge, from any address.

Owns packet sockets inside the namespaces and the threads that read them. Knows of the protocol what stands in the
clear (docs/protocol.md 2.1). A Tap listens on an interface, a Forger sends whole frames from one, so that no kernel's
own addresses, routes or NAT have a say in them. Read next: siege.py.
"""
import collections
import ctypes
import os
import select
import socket
import struct
import threading
import time

from .run import Fault, now_ns

_ETH_P_ALL = 3
_OUTGOING = 4
_ETHERNET_BYTES = 14
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
ENVELOPE = 0xF8

# docs/protocol.md 2.2: number and whole length of each message; DATA is what is not one.
TYPES = ('BIRTH_OFFER', 'BIRTH', 'BIRTH_ACK', 'PROBE', 'PROBE_ACK', 'PATH_UNBOUND', 'REATTACH_REQUEST',
         'REATTACH_CHALLENGE', 'REATTACH_PROOF', 'REATTACH_ACCEPT', 'REATTACH_DENY', 'TERMINATE', 'TERMINATE_ACK',
         'REDIRECT', 'COOKIE', 'RESET')
LENGTHS = dict(zip(TYPES, (82, 320, 243, 144, 110, 104, 144, 138, 144, 122, 109, 89, 89, 110, 60, 84)))
BY_CLIENT = ('BIRTH', 'PROBE', 'REATTACH_REQUEST', 'REATTACH_PROOF', 'TERMINATE', 'TERMINATE_ACK')
BY_SERVER = ('BIRTH_OFFER', 'BIRTH_ACK', 'PROBE_ACK', 'PATH_UNBOUND', 'REATTACH_CHALLENGE', 'REATTACH_ACCEPT',
             'REATTACH_DENY', 'TERMINATE', 'TERMINATE_ACK', 'COOKIE', 'RESET')
DATA = 'data'
OTHER = 'other'


class OpenVpnCarrier:
    """How the messages travel beside OpenVPN's packets: one byte before them."""

    port = 1194

    @staticmethod
    def wrap(message, by_client=True):  # noqa: ARG004  (as of the other carrier)
        return bytes((ENVELOPE,)) + message

    @staticmethod
    def unwrap(payload):
        """The message in a payload; None if it is anything else."""
        return payload[1:] if len(payload) > 1 and payload[0] == ENVELOPE else None

    @staticmethod
    def is_data(payload):
        return bool(payload) and payload[0] >> 3 in (6, 9)

    @staticmethod
    def match(numbers):
        """What nft sees of messages of these types, behind "udp dport 1194"."""
        return f'@th,64,8 0xf8 @th,76,4 {{ {numbers} }}'


class StrongSwanCarrier:
    """The same beside IKE and ESP on one port: behind the non-ESP marker and an IKE header whose SPIs are the session id."""

    port = 4500
    _HEAD = 4 + 28

    @classmethod
    def wrap(cls, message, by_client=True):
        header = bytes((0, 0x20, 241, 0x08 if by_client else 0x20)) + bytes(4)
        spis = message[4:20].ljust(16, b'\0')
        return bytes(4) + spis + header + (28 + len(message)).to_bytes(4, 'big') + message

    @classmethod
    def unwrap(cls, payload):
        if len(payload) <= cls._HEAD or payload[:4] != bytes(4) or payload[22] not in range(241, 255):
            return None
        return payload[cls._HEAD:]

    @staticmethod
    def is_data(payload):
        return len(payload) > 8 and payload[:4] != bytes(4)

    @staticmethod
    def match(numbers):
        return f'@th,64,32 0 @th,240,8 241-254 @th,324,4 {{ {numbers} }}'


_CARRIERS = {each.port: each for each in (OpenVpnCarrier, StrongSwanCarrier)}


class Datagram(collections.namedtuple('Datagram', 'at outgoing source target payload carrier')):
    """One UDP datagram that was heard. source, target: (address, port)."""

    @property
    def message(self):
        """Without its envelope; None if it is not ours."""
        return self.carrier.unwrap(self.payload)

    @property
    def kind(self):
        """The name of a message's type; DATA for user data, OTHER for the rest."""
        message = self.message
        if message:
            return TYPES[message[0] & 15]
        return DATA if self.carrier.is_data(self.payload) else OTHER

    @property
    def epoch(self):
        return self.message[2:4]

    @property
    def session_id(self):
        return self.message[4:20]

    @property
    def nonce(self):
        return self.message[20:44]


def forged(kind, session_id, epoch=b'\0\0', nonce=None, cookie=bytes(16)):
    """A message of the right length with a header that is right as far as it can be known, and nothing behind it."""
    head = bytes((0x10 | TYPES.index(kind), 0, *epoch)) + session_id + (nonce or os.urandom(24)) + cookie
    return head + os.urandom(LENGTHS[kind] - len(head))


def changed(message, at, value):
    """A copy with other bytes from offset `at` on."""
    return message[:at] + value + message[at + len(value):]


def socket_inside(namespace, *kind):
    """A socket that belongs to a namespace, usable from anywhere. Only a thread of its own ever goes there."""
    made = []

    def make():
        with open(f'/run/netns/{namespace}', 'rb') as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _NEW_NETWORK) == 0:
                made.append(socket.socket(*kind))
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise Fault(f'no socket inside {namespace}')
    return made[0]


class Tap:
    """Everything UDP over IPv4 that an interface sends or receives to or from one port, in the order it was heard."""

    def __init__(self, run, namespace, interface, port):
        self._port = port
        self._carrier = _CARRIERS[port]
        self._socket = socket_inside(namespace, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((interface, _ETH_P_ALL))
        self.heard = []
        self.mac = None       # of the latest incoming frame's sender
        self.on_hear = None   # called in the tap's thread with each datagram: an attacker that reacts at once
        self._open = True
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        run.defer(self.close)

    def close(self):
        self._open = False
        self._thread.join()
        self._socket.close()

    def _listen(self):
        while self._open:
            if not select.select([self._socket], [], [], 0.1)[0]:
                continue
            frame, where = self._socket.recvfrom(65536)
            datagram = self._read(frame, where[2] == _OUTGOING)
            if datagram:
                self.heard.append(datagram)
                if self.on_hear:
                    self.on_hear(datagram)

    def _read(self, frame, outgoing):
        packet = frame[_ETHERNET_BYTES:]
        if frame[12:14] != b'\x08\x00' or len(packet) < 28 or packet[9] != socket.IPPROTO_UDP:
            return None
        header = (packet[0] & 15) * 4
        source, target, length = struct.unpack_from('!HHH', packet, header)
        if self._port not in (source, target):
            return None
        if not outgoing:
            self.mac = frame[6:12]
        return Datagram(now_ns(), outgoing, (socket.inet_ntoa(packet[12:16]), source),
                        (socket.inet_ntoa(packet[16:20]), target), packet[header + 8:header + length], self._carrier)

    def find(self, *kinds, since=0, source=None, target=None):
        """What was heard of these kinds (all, if none is given), oldest first."""
        return [d for d in list(self.heard) if d.at >= since and (not kinds or d.kind in kinds)
                and source in (None, d.source) and target in (None, d.target)]

    def newest(self, kind, **where):
        found = self.find(kind, **where)
        if not found:
            raise Fault(f'the attacker has heard no {kind}')
        return found[-1]


def _checksum(header):
    total = sum(struct.unpack(f'!{len(header) // 2}H', header))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Forger:
    """Sends datagrams in frames of its own making: their source is whatever it says."""

    def __init__(self, run, namespace, interface, mac):
        """mac: of who receives the frames, b'' or text with colons."""
        self._socket = socket_inside(namespace, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, 0))
        self._ethernet = bytes.fromhex(mac.replace(':', '')) + self._socket.getsockname()[4] + b'\x08\x00'
        run.defer(self._socket.close)

    def send(self, payload, source, target):
        """source, target: (address, port)."""
        addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
        header = struct.pack('!BBHHHBBH', 0x45, 0, 28 + len(payload), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
        header = header[:10] + struct.pack('!H', _checksum(header)) + header[12:]
        # A checksum of zero says that there is none, which UDP over IPv4 allows.
        self._socket.send(self._ethernet + header + struct.pack('!HHHH', source[1], target[1], 8 + len(payload), 0)
                          + payload)

    def send_all(self, payloads, source, target, spacing=0.0):
        for payload in payloads:
            self.send(payload, source, target)
            if spacing:
                time.sleep(spacing)
