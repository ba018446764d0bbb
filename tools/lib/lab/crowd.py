#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic to many clients at once: one process that sends, one that has a socket in each namespace or on each address.

Owns its sockets and one record file. Never answers, so that a silent client stays silent.
Read next: scenarios/crowd.py.

The record: one line for each datagram, CLIENT SENT ARRIVED, times in CLOCK_BOOTTIME ns.
"""
import argparse
import ctypes
import select
import socket
import struct
import time

_PORT = 7000
_PACKET = struct.Struct('!Q')
_CLONE_NEWNET = 0x40000000


def _now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def back_after(path, instant):
    """Of each client that got something sent after this instant: nanoseconds until the first of it arrived."""
    first = {}
    with open(path, encoding='ascii') as file:
        for line in file:
            words = line.split()
            if len(words) == 3 and line.endswith('\n') and int(words[1]) >= instant:
                first.setdefault(words[0], int(words[2]) - instant)
    return first


def _socket_in(namespace, address):
    """A socket belongs for good to the namespace that its process was in when it was made. '': where we are."""
    if namespace:
        with open(f'/run/netns/{namespace}', 'rb') as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f'setns {namespace}')
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(('' if namespace else address, _PORT))
    return receiver


def _receive(record, targets):
    sockets = {}
    for namespace, address in targets:
        receiver = _socket_in(namespace, address)
        sockets[receiver.fileno()] = namespace or address, receiver
    poll = select.epoll()
    for number in sockets:
        poll.register(number, select.EPOLLIN)
    with open(record, 'a', encoding='ascii', buffering=1) as file:
        while True:
            for number, _ in poll.poll():
                namespace, receiver = sockets[number]
                sent, = _PACKET.unpack(receiver.recv(2048)[:_PACKET.size])
                file.write(f'{namespace} {sent} {_now_ns()}\n')


def _send(milliseconds, targets):
    """To each of them in turn, evenly over the interval: a burst to all would measure the burst."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    step = milliseconds * 1_000_000 // len(targets)
    due = _now_ns()
    while True:
        for _, address in targets:
            try:
                sender.sendto(_PACKET.pack(_now_ns()) + bytes(92), (address, _PORT))
            except OSError:
                pass  # a packet lost like any other
            due += step
            time.sleep(max(0, due - _now_ns()) / 1e9)
        due = max(due, _now_ns() - step)


def main():
    parser = argparse.ArgumentParser(description='Traffic to many clients.')
    commands = parser.add_subparsers(dest='command', required=True)
    receive = commands.add_parser('receive')
    receive.add_argument('record')
    send = commands.add_parser('send')
    send.add_argument('milliseconds', type=int)
    for each in (receive, send):
        each.add_argument('targets', nargs='+', metavar='NAMESPACE=ADDRESS')
    options = parser.parse_args()
    targets = [tuple(target.split('=')) for target in options.targets]
    if options.command == 'receive':
        _receive(options.record, targets)
    else:
        _send(options.milliseconds, targets)


if __name__ == '__main__':
    main()
