#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker on the path: takes one packet on its way, sends its payload from an address of his own.

Owns a packet socket and one UDP socket. Has no key and understands nothing but the first bytes.
Read next: scenarios/captured.py, which drops the original while this runs.

Lines on stdout: ready | sent OPCODE LENGTH TIME | received COUNT LAST_TIME (after each answer).
"""
import argparse
import socket
import struct
import time

_ALL_PROTOCOLS = 3
_OUTGOING = 4
_UDP = 17
_ETHERNET_BYTES = 14
_UDP_BYTES = 8


def udp_payload(frame, port):
    """The payload of an IPv4 UDP frame to this port; None for any other frame."""
    packet = frame[_ETHERNET_BYTES:]
    if frame[12:14] != b'\x08\x00' or packet[9] != _UDP:
        return None
    header = (packet[0] & 15) * 4
    to_port, length = struct.unpack_from('!HH', packet, header + 2)
    return packet[header + _UDP_BYTES:header + length] if to_port == port else None


def is_esp(payload):
    """Neither IKE, which has four zero bytes there, nor a keepalive of the NAT's."""
    return len(payload) > 4 and payload[:4] != bytes(4)


def main():
    parser = argparse.ArgumentParser(description='Capture one datagram and send it again from elsewhere.')
    parser.add_argument('interface')
    parser.add_argument('server')
    parser.add_argument('port', type=int)
    parser.add_argument('own_address')
    parser.add_argument('own_port', type=int)
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument('--opcodes', type=int, nargs='+', help='upper five bits of the first byte')
    wanted.add_argument('--esp', action='store_true', help='ESP in UDP (RFC 3948)')
    options = parser.parse_args()

    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((options.own_address, options.own_port))
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
    tap.bind((options.interface, _ALL_PROTOCOLS))
    print('ready', flush=True)
    while True:
        frame, where = tap.recvfrom(4096)
        payload = None if where[2] == _OUTGOING else udp_payload(frame, options.port)
        if payload and (is_esp(payload) if options.esp else payload[0] >> 3 in options.opcodes):
            break
    tap.close()
    sender.sendto(payload, (options.server, options.port))
    print('sent', payload[0] >> 3, len(payload), time.clock_gettime_ns(time.CLOCK_BOOTTIME), flush=True)
    count = 0
    while True:
        sender.recv(4096)
        count += 1
        print('received', count, time.clock_gettime_ns(time.CLOCK_BOOTTIME), flush=True)


if __name__ == '__main__':
    main()
