#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks at every frame that leaves a client, and notes each that is neither for the server nor a neighbour's affair.

Owns a packet socket for each interface. It is told the mark that is in each of the user's packets.
Read next: scenarios/plaintext.py.

Lines on stdout: ready | stray TIME INTERFACE WHAT LENGTH (the first of each kind in a second) |
count FRAMES STRAY MARKED (once a second).
"""
import argparse
import os
import select
import socket
import struct
import time

_ALL_PROTOCOLS = 3
_OUTGOING = 4
_ETHERNET_BYTES = 14
_IP, _ARP, _IP6 = 0x0800, 0x0806, 0x86dd
_ICMP, _UDP, _ICMP6 = 1, 17, 58
# Router and neighbour discovery, and the multicast reports it needs.
_NEIGHBOURS = range(130, 138), (143,)


def packet_of(frame):
    """(kind, protocol, destination, what follows the IP header) of a frame; None where there is none."""
    kind, = struct.unpack_from('!H', frame, 12)
    packet = frame[_ETHERNET_BYTES:]
    if kind == _IP and len(packet) >= 20:
        return kind, packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[(packet[0] & 15) * 4:]
    if kind == _IP6 and len(packet) >= 40:
        follows, rest = packet[6], packet[40:]
        if follows == 0 and len(rest) >= 8:  # hop-by-hop options: multicast reports
            follows, rest = rest[0], rest[8 * (rest[1] + 1):]
        return kind, follows, socket.inet_ntop(socket.AF_INET6, packet[24:40]), rest
    return kind, None, None, b''


def stray(frame, servers, ports):
    """What the frame is, if it must not be there; None if it may."""
    kind, protocol, to, rest = packet_of(frame)
    if kind == _ARP:
        return None
    if protocol == _UDP and to in servers and rest[2:4] in ports:
        return None
    if protocol == _ICMP6 and rest and any(rest[0] in types for types in _NEIGHBOURS):
        return None
    # "Port unreachable" for what the server sent to a socket that is closed: it quotes nothing but that.
    unreachable = protocol in (_ICMP, _ICMP6) and rest and rest[0] in (1, 3)
    if unreachable and to in servers and any(port in rest[28:] for port in ports):
        return None
    return f'{kind:04x}/{protocol}/{to}'


def main():
    parser = argparse.ArgumentParser(description='Note what leaves outside the tunnel.')
    parser.add_argument('--outgoing', action='store_true', help='on the client: what it sends')
    parser.add_argument('--server', action='append', required=True, metavar='ADDRESS')
    parser.add_argument('--mark', type=os.fsencode, required=True)
    parser.add_argument('--port', type=int, action='append', required=True)
    parser.add_argument('interface', nargs='+')
    options = parser.parse_args()
    ports = [port.to_bytes(2, 'big') for port in options.port]
    taps = []
    for interface in options.interface:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        tap.bind((interface, _ALL_PROTOCOLS))
        taps.append(tap)
    print('ready', flush=True)
    frames = strays = marked = 0
    told, second = set(), 0
    while True:
        ready, _, _ = select.select(taps, [], [], 0.5)
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if now // 1_000_000_000 != second:
            second = now // 1_000_000_000
            told.clear()
            print('count', frames, strays, marked, flush=True)
        for tap in ready:
            try:
                frame, where = tap.recvfrom(4096)
            except OSError:
                continue  # the interface is down; the socket goes on when it is up again
            if (where[2] == _OUTGOING) != options.outgoing or len(frame) < _ETHERNET_BYTES:
                continue
            frames += 1
            marked += options.mark in frame
            what = stray(frame, options.server, ports)
            strays += what is not None
            if what and what not in told:
                told.add(what)
                print('stray', now, where[0], what, len(frame), flush=True)


if __name__ == '__main__':
    main()
