#!/usr/bin/env python3
"""A wire that takes time: carries octets between two ports of loopback, each direction half a round trip late.

Threads that sleep to the microsecond, not a poll loop that rounds to milliseconds; any amount may be on its way.

It also counts turns: how often the near end sent something behind what it got from the far end. A client that
waits for each answer takes a round trip for every turn, whatever time the processes on the way need.
"""

import argparse
import mmap
import queue
import socket
import threading
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--round-trip-ms", type=float, default=5.0)
    parser.add_argument("--turns", metavar="FILE", help="the count so far, of all connections, as eight octets")
    args = parser.parse_args()
    turns = Turns(args.turns)
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
        turn = turns.of_connection()
        carry(near, far, args.round_trip_ms / 2000, turn.spoke, turn.nothing)
        carry(far, near, args.round_trip_ms / 2000, turn.nothing, turn.heard)


class Turns:
    """Counts in a file that others may read at any time."""

    def __init__(self, path):
        if path:
            with open(path, "w+b") as file:
                file.write(bytes(8))
                file.flush()
                self.shown = mmap.mmap(file.fileno(), 8)
        else:
            self.shown = mmap.mmap(-1, 8)
        self.lock, self.count = threading.Lock(), 0

    def of_connection(self):
        return Turn(self)

    def add(self):
        with self.lock:
            self.count += 1
            self.shown[:] = self.count.to_bytes(8, "little")


class Turn:
    """Whose turn it is on one connection."""

    def __init__(self, turns):
        self.turns, self.has_heard = turns, True

    def heard(self):
        self.has_heard = True

    def spoke(self):
        if self.has_heard:
            self.has_heard = False
            self.turns.add()

    def nothing(self):
        pass


def carry(source, sink, delay, taken, given):
    on_its_way = queue.Queue()
    threading.Thread(target=take, args=(source, on_its_way, delay, taken), daemon=True).start()
    threading.Thread(target=give, args=(sink, on_its_way, given), daemon=True).start()


def take(source, on_its_way, delay, taken):
    octets = b"-"
    while octets:
        try:
            octets = source.recv(262144)
        except OSError:
            octets = b""
        on_its_way.put((time.monotonic() + delay, octets))
        if octets:
            taken()


def give(sink, on_its_way, given):
    while True:
        due, octets = on_its_way.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if not octets:
                return sink.shutdown(socket.SHUT_WR)
            given()
            sink.sendall(octets)
        except OSError:
            return None


if __name__ == "__main__":
    main()
