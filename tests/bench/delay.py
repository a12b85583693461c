#!/usr/bin/env python3
"""A wire that takes time: carries octets between two ports of loopback, each direction half a round trip late.

Threads that sleep to the microsecond, not a poll loop that rounds to milliseconds; any amount may be on its way.
"""

import argparse
import queue
import socket
import threading
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--round-trip-ms", type=float, default=5.0)
    args = parser.parse_args()
    door = socket.create_server(("127.0.0.1", args.listen))
    while True:
        near, _ = door.accept()
        try:
            far = socket.create_connection(("127.0.0.1", args.to))
        except ConnectionError:
            near.close()
            continue
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        carry(near, far, args.round_trip_ms / 2000)
        carry(far, near, args.round_trip_ms / 2000)


def carry(source, sink, delay):
    on_its_way = queue.Queue()
    threading.Thread(target=take, args=(source, on_its_way, delay), daemon=True).start()
    threading.Thread(target=give, args=(sink, on_its_way), daemon=True).start()


def take(source, on_its_way, delay):
    octets = b"-"
    while octets:
        try:
            octets = source.recv(262144)
        except OSError:
            octets = b""
        on_its_way.put((time.monotonic() + delay, octets))


def give(sink, on_its_way):
    while True:
        due, octets = on_its_way.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if not octets:
                return sink.shutdown(socket.SHUT_WR)
            sink.sendall(octets)
        except OSError:
            return None


if __name__ == "__main__":
    main()
