#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One end of the lab's traffic: sends numbered packets, notes when each one from the peer arrived.

Owns its sockets and one record file. Never answers a datagram, so that a silent end stays silent.
Refuses to know what a gap is: it only writes down arrivals. Read next: streams.py, which reads them.

Lines of the record file, times in CLOCK_BOOTTIME ns:
  udp NUMBER SENT ARRIVED | tcp NUMBER SENT ARRIVED | open TIME | lost TIME REASON
"""
import argparse
import os
import socket
import struct
import threading
import time

_UDP = struct.Struct('!QQ')
# At the end of each datagram: who finds it on the wire outside the tunnel has found a leak (leaks.py).
MARK = b'in the clear: a packet of the lab'
_TCP = struct.Struct('!QQ84x')  # 100 bytes, as a small request would be


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Record:
    """The record file. One write a line: threads need no lock, a reader never sees half of two lines."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, *words):
        os.write(self._fd, (' '.join(str(word) for word in words) + '\n').encode())


def ticks(milliseconds):
    """Number after number, one each interval; what could not be kept up with is skipped, not caught up."""
    step = milliseconds * 1_000_000
    due = now_ns()
    number = 0
    while True:
        number += 1
        yield number
        due = max(due + step, now_ns() - step)
        time.sleep(max(0, due - now_ns()) / 1e9)


def send_udp(destination, milliseconds):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in ticks(milliseconds):
        try:
            sender.sendto(_UDP.pack(number, now_ns()) + MARK, destination)
        except OSError:
            pass  # no tun, no route: a packet lost like any other


def receive_udp(receiver, record):
    while True:
        packet = receiver.recv(2048)
        record.write('udp', *_UDP.unpack(packet[:_UDP.size]), now_ns())


def receive_record(connected):
    data = b''
    while len(data) < _TCP.size:
        more = connected.recv(_TCP.size - len(data))
        if not more:
            raise ConnectionError('closed by the peer')
        data += more
    return data


def tcp_client(destination, milliseconds, record):
    """A request, its answer, the next request: only one thing is ever under way, as with a person typing."""
    numbers = ticks(milliseconds)
    while True:
        try:
            connected = socket.create_connection(destination, timeout=5)
        except OSError:
            time.sleep(0.2)
            continue
        with connected:
            connected.settimeout(None)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            record.write('open', now_ns())
            try:
                for number in numbers:
                    connected.sendall(_TCP.pack(number, now_ns()))
                    record.write('tcp', *_TCP.unpack(receive_record(connected)), now_ns())
            except OSError as error:
                record.write('lost', now_ns(), str(error))


def tcp_server(listener):
    while True:
        connected, _ = listener.accept()
        # A thread each: an old connection may not have noticed yet that it is dead.
        threading.Thread(target=answer, args=(connected,), daemon=True).start()


def answer(connected):
    with connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                connected.sendall(receive_record(connected))
        except OSError:
            pass  # the client's end is the one that takes notes


def address(text):
    host, port = text.rsplit(':', 1)
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description='One end of the lab\'s traffic.')
    parser.add_argument('--record', required=True)
    parser.add_argument('--send', type=address, metavar='HOST:PORT', help='numbered datagrams to there')
    parser.add_argument('--receive', type=int, metavar='PORT', help='note datagrams that arrive here')
    parser.add_argument('--connect', type=address, metavar='HOST:PORT', help='TCP requests, anew whenever it is lost')
    parser.add_argument('--listen', type=int, metavar='PORT', help='answer TCP requests')
    parser.add_argument('--udp-ms', type=int, default=20, help='interval of datagrams')
    parser.add_argument('--tcp-ms', type=int, default=50, help='least interval of TCP requests')
    options = parser.parse_args()
    record = Record(options.record)

    # Sockets first, threads later: a silent end must never answer "port unreachable".
    work = []
    if options.receive:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.bind(('', options.receive))
        work.append((receive_udp, receiver, record))
    if options.listen:
        listener = socket.create_server(('', options.listen))
        work.append((tcp_server, listener))
    if options.send:
        work.append((send_udp, options.send, options.udp_ms))
    if options.connect:
        work.append((tcp_client, options.connect, options.tcp_ms, record))
    threads = [threading.Thread(target=function, args=arguments, daemon=True) for function, *arguments in work]
    record.write('ready', now_ns())
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == '__main__':
    main()
