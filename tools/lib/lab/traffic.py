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
            sender.sendto(_UDP.pack(number, now_ns()), destination)
        except OSError:
            pass  # no tun, no route: a packet lost like any other


def receive_udp(receiver, record):
    while True:
        packet = receiver.recv(2048)
        record.write('udp', *_UDP.unpack(packet[:_UDP.size]), now_ns())


class Connection:
    """One TCP connection: steady records both ways until it breaks."""

    def __init__(self, connected, record, numbers):
        self._socket = connected
        self._record = record
        self._numbers = numbers
        self._broken = threading.Event()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        record.write('open', now_ns())

    def serve(self):
        """Returns when the connection is lost."""
        threading.Thread(target=self._read, daemon=True).start()
        try:
            for number in self._numbers:
                if self._broken.is_set():
                    return
                self._socket.sendall(_TCP.pack(number, now_ns()))
        except OSError as error:
            self._lost(error)

    def _read(self):
        pending = b''
        try:
            while True:
                data = self._socket.recv(65536)
                if not data:
                    raise ConnectionError('closed by the peer')
                pending += data
                while len(pending) >= _TCP.size:
                    self._record.write('tcp', *_TCP.unpack_from(pending), now_ns())
                    pending = pending[_TCP.size:]
        except OSError as error:
            self._lost(error)

    def _lost(self, error):
        if not self._broken.is_set():
            self._broken.set()
            self._record.write('lost', now_ns(), str(error).replace('\n', ' '))
            self._socket.close()


def tcp_client(destination, milliseconds, record):
    numbers = ticks(milliseconds)
    while True:
        try:
            connected = socket.create_connection(destination, timeout=5)
        except OSError:
            time.sleep(0.2)
            continue
        connected.settimeout(None)
        Connection(connected, record, numbers).serve()


def tcp_server(listener, milliseconds, record):
    while True:
        connected, _ = listener.accept()
        # A thread each: an old connection may not have noticed yet that it is dead.
        connection = Connection(connected, record, ticks(milliseconds))
        threading.Thread(target=connection.serve, daemon=True).start()


def address(text):
    host, port = text.rsplit(':', 1)
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description='One end of the lab\'s traffic.')
    parser.add_argument('--record', required=True)
    parser.add_argument('--send', type=address, metavar='HOST:PORT', help='numbered datagrams to there')
    parser.add_argument('--receive', type=int, metavar='PORT', help='note datagrams that arrive here')
    parser.add_argument('--connect', type=address, metavar='HOST:PORT', help='TCP, again whenever it is lost')
    parser.add_argument('--listen', type=int, metavar='PORT', help='TCP from the other end')
    parser.add_argument('--udp-ms', type=int, default=20, help='interval of datagrams')
    parser.add_argument('--tcp-ms', type=int, default=50, help='interval of TCP records')
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
        work.append((tcp_server, listener, options.tcp_ms, record))
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
