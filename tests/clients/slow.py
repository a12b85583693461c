#!/usr/bin/env python3
"""Ten thousand connections that send one octet every ten seconds, in every phase of a session, beside one good client.

    slow.py PATH-OF-TOKENRELAY [CONNECTIONS]

The relay's memory has to stay within a bound for each connection and must not grow while they stay; the good client's p99,
the median of several rounds, may at most double. Who is sent away connects again.

The crowd itself takes processor time, which is not the relay's doing. So there are two relays, and the good client sends to
them by turns: one has the crowd, the other has not. Against the second, and against both before the crowd came, the first
is measured, with no allowance beyond the factor.
"""

import base64
import contextlib
import multiprocessing
import os
import resource
import select
import smtplib
import socket
import ssl
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from relay import USER, Lab  # noqa: E402

CONNECTIONS = 10_000
PER_SOURCE = 190  # the relay's default takes 200
BEAT = 10.0  # seconds between two octets of one connection
WORKERS = 2
# Share of the connections in each phase.
PHASES = (("command line", 0.3), ("line behind EHLO", 0.2), ("TLS handshake", 0.15), ("AUTH", 0.1), ("DATA", 0.25))
ROUNDS, MESSAGES = 5, 150
KIB_PER_CONNECTION_MAX = 12
GROWTH_MAX = 1.15
P99_RATIO_MAX = 2.0
PACE_MIN = 0.9  # of the octets that are due, or the crowd was none
STAY_SECONDS = int(os.environ.get("STAY_SECONDS", 40))
PERSON = {"customer_id": "one", "email": "one@people.test", "first_name": "One", "consent": "service"}
SLOW_WORDS = {"command line": b"EHLO a.very.long.name.example", "line behind EHLO": b"MAIL FROM:<somebody@brand.example>",
              "TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), "AUTH": b"QUdOaGJYQmhhV2R1Y3dCek0yTnlaWFE=",
              "DATA": b"Subject: this takes a while " * 8}


# ---- The slow ones, in processes of their own ------------------------------------------------------------------------


class Slow:
    def __init__(self, number, phase, door):
        self.number, self.phase, self.door = number, phase, door
        self.sent = 0
        self.socket = None

    def connect(self):
        """Up to its phase at full speed."""
        source = f"127.1.{self.number // PER_SOURCE // 250}.{self.number // PER_SOURCE % 250 + 1}"
        self.sent = 0
        raw = socket.socket()
        raw.settimeout(30)
        raw.bind((source, 0))
        raw.connect(("127.0.0.1", self.door["port"]))
        self.socket = raw
        self.hear()
        if self.phase != "command line":
            self.ask(b"EHLO slow.example\r\n")
        if self.phase in ("TLS handshake", "AUTH", "DATA"):
            self.ask(b"STARTTLS\r\n")
        if self.phase in ("AUTH", "DATA"):
            self.socket = self.door["context"].wrap_socket(raw, server_hostname="127.0.0.1")
            self.ask(b"EHLO slow.example\r\n")
        if self.phase == "AUTH":
            self.ask(b"AUTH PLAIN\r\n")
        if self.phase == "DATA":
            for line in (b"AUTH PLAIN " + self.door["login"], b"MAIL FROM:<s@brand.example>", b"RCPT TO:<" + self.door["to"] + b">", b"DATA"):
                answer = self.ask(line + b"\r\n")
                if answer[:1] not in b"23":
                    raise OSError(answer.decode())
        self.socket.setblocking(False)

    def ask(self, line):
        self.socket.sendall(line)
        return self.hear()

    def hear(self):
        heard = b""
        while not heard.endswith(b"\r\n") or heard.splitlines()[-1][3:4] == b"-":
            more = self.socket.recv(4096)
            if not more:
                raise OSError("closed")
            heard += more
        return heard

    def send_octet(self):
        words = SLOW_WORDS[self.phase]
        self.socket.send(words[self.sent % len(words):][:1])
        self.sent += 1

    def is_gone(self):
        try:
            return self.socket.recv(4096) in (b"",)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True


def crowd(numbers, door, ready, stop, came_again, octets):
    """Keeps its connections open, and each of them slow, until it is told to stop."""
    context = ssl.create_default_context(cafile=door["ca"])
    door = {**door, "context": context}
    edges, share = [], 0.0
    for phase, part in PHASES:
        share += part
        edges.append((share, phase))
    # Spread over the phases evenly, whatever the numbers are.
    slow = [Slow(number, next(phase for edge, phase in edges if (number * 0.61803) % 1 < edge + 1e-9), door) for number in numbers]
    poll, by_file = select.epoll(), {}

    def enter(one):
        for _ in range(3):
            try:
                one.connect()
                return one
            except OSError:
                time.sleep(0.2)
        return None

    with ThreadPoolExecutor(8) as threads:
        def take(entered):
            for one in filter(None, entered):
                by_file[one.socket.fileno()] = one
                poll.register(one.socket, select.EPOLLIN | select.EPOLLRDHUP)

        take(threads.map(enter, slow))
        ready.put(len(by_file))
        turn = 0
        while not stop.is_set():
            began = time.monotonic()
            # A hundredth of them each tenth of a second: everyone's turn comes every ten.
            for one in list(by_file.values())[turn::int(BEAT * 10)]:
                try:
                    one.send_octet()
                    octets.value += 1
                except OSError:
                    pass  # told by the poll below
            turn = (turn + 1) % int(BEAT * 10)
            gone = []
            for file, _ in poll.poll(max(0.0, 0.1 - (time.monotonic() - began))):
                one = by_file.get(file)
                if one and one.is_gone():
                    poll.unregister(file)
                    del by_file[file]
                    one.socket.close()
                    gone.append(one)
            came_again.value += len(gone)
            take(threads.map(enter, gone))
            time.sleep(max(0.0, 0.1 - (time.monotonic() - began)))


# ---- The good one ----------------------------------------------------------------------------------------------------


class Good:
    """Sends to the relay with the crowd and to the one without, by turns."""

    def __init__(self, labs):
        self.labs = labs
        self.to = [lab.address(lab.people[0]) for lab in labs]

    def round(self):
        """p50 and p99 at each relay, in milliseconds; on connections of their own, which have to be let in."""
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(self.connect(lab)) for lab in self.labs]
            times = [[] for _ in clients]
            for number in range(MESSAGES):
                # Nobody comes always first.
                for at in (0, 1) if number % 2 else (1, 0):
                    message = self.message(self.to[at])
                    began = time.perf_counter()
                    clients[at].sendmail("news@brand.example", [self.to[at]], message)
                    times[at].append((time.perf_counter() - began) * 1000)
        return [(statistics.median(each), sorted(each)[int(len(each) * 0.99) - 1]) for each in times]

    @staticmethod
    def connect(lab):
        smtp = smtplib.SMTP("127.0.0.1", lab.smtp_port, timeout=30)
        smtp.starttls(context=lab.tls())
        smtp.login(USER, lab.secret)
        return smtp

    @staticmethod
    def message(to):
        return (f"From: news@brand.example\r\nTo: {to}\r\nSubject: Hi {{{{person.first_name}}}}\r\n\r\n"
                + "Dear {{person.first_name}}, there is news.\r\n" * 50).encode()

    def rounds(self, count):
        return [self.round() for _ in range(count)]


def median(rounds, relay, figure):
    """Of one relay's p50 (figure 0) or p99 (figure 1)."""
    return statistics.median(each[relay][figure] for each in rounds)


def resident_kib(process):
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def processor_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else CONNECTIONS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < connections + 500:
        sys.exit(f"{hard} open files are allowed; {connections} connections need {connections + 500}: ulimit -n")
    began = time.monotonic()
    # Room enough that the relay is not crowded, and keeps everyone for as long as it would otherwise.
    limits = {"connections_max": int(connections * 1.4)}
    with Lab(sys.argv[1], [PERSON], limits=limits) as lab, Lab(sys.argv[1], [PERSON]) as quiet:
        problems = watch(lab, quiet, connections)
        if not lab.stop() or not quiet.stop():
            problems.append("the relay did not end in peace")
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems, {time.monotonic() - began:.0f} s")
    return 1 if problems else 0


def watch(lab, quiet, connections):
    problems, good = [], Good([lab, quiet])
    good.round()
    alone = good.rounds(ROUNDS)
    before, files_before = resident_kib(lab.relay), open_files(lab.relay)
    door = {"port": lab.smtp_port, "ca": str(lab.ca), "to": good.to[0].encode(),
            "login": base64.b64encode(f"\0{USER}\0{lab.secret}".encode())}
    ready, stop = multiprocessing.Queue(), multiprocessing.Event()
    again, octets = ([multiprocessing.Value("i", 0) for _ in range(WORKERS)] for _ in range(2))
    crowds = [multiprocessing.Process(target=crowd, args=(range(at, connections, WORKERS), door, ready, stop, again[at], octets[at]))
              for at in range(WORKERS)]
    for process in crowds:
        process.start()
    try:
        entered = sum(ready.get(timeout=180) for _ in crowds)
        there, held, beside = [], [], []
        busy, since, sent = processor_seconds(lab.relay), time.monotonic(), sum(each.value for each in octets)
        until = time.monotonic() + STAY_SECONDS
        while time.monotonic() < until or len(beside) < ROUNDS:
            there.append(open_files(lab.relay) - files_before)
            held.append(resident_kib(lab.relay))
            beside.append(good.round())
            time.sleep(1)
        stayed = time.monotonic() - since
        busy = (processor_seconds(lab.relay) - busy) / stayed
        pace = (sum(each.value for each in octets) - sent) / (connections * stayed / BEAT)
    finally:
        stop.set()
        for process in crowds:
            process.join(30)
            process.kill()
    time.sleep(2)
    alone += good.rounds(ROUNDS)
    after = resident_kib(lab.relay)
    per_connection = (max(held) - before) / max(there)
    third = max(1, len(held) // 3)
    growth = statistics.median(held[-third:]) / statistics.median(held[:third])
    p99 = median(beside, 0, 1)
    # Alone, the two relays are alike; the quiet one says what the machine is like while the crowd is there.
    alone_p99, quiet_p99 = max(median(alone, relay, 1) for relay in (0, 1)), median(beside, 1, 1)
    ratio = p99 / max(alone_p99, quiet_p99)
    print(f"connections: {entered} entered, {statistics.median(there):.0f} there (median), {sum(each.value for each in again)} sent away "
          f"and back again")
    print(f"memory: {before / 1024:.0f} MiB before, {max(held) / 1024:.0f} MiB at most, {after / 1024:.0f} MiB after; "
          f"{per_connection:.1f} KiB a connection; grew by {growth:.2f} while they stayed")
    print("memory while they stayed, MiB:", " ".join(f"{kib / 1024:.0f}" for kib in held[::max(1, len(held) // 20)]))
    print(f"relay: {busy * 100:.0f} % of one processor while they were there")
    print(f"good client: p50 {median(alone, 0, 0):.2f} ms alone, {median(beside, 0, 0):.2f} beside the crowd, "
          f"{median(beside, 1, 0):.2f} at the quiet relay meanwhile")
    print(f"good client: p99 {alone_p99:.2f} ms alone, {p99:.2f} beside the crowd, {quiet_p99:.2f} at the quiet relay meanwhile "
          f"({p99 / alone_p99:.2f} and {p99 / quiet_p99:.2f} times; {len(beside)} rounds)")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; {pace * 100:.0f} % of the octets that were due")
    if statistics.median(there) < 0.95 * connections:
        problems.append(f"only {statistics.median(there):.0f} of {connections} connections were there: nothing was tried")
    if per_connection > KIB_PER_CONNECTION_MAX:
        problems.append(f"{per_connection:.1f} KiB a connection, more than {KIB_PER_CONNECTION_MAX}")
    if growth > GROWTH_MAX:
        problems.append(f"memory grew {growth:.2f} times while the number of connections stayed")
    if pace < PACE_MIN:
        problems.append(f"only {pace * 100:.0f} % of the octets were sent that were due: the crowd was none")
    if ratio > P99_RATIO_MAX:
        problems.append(f"the good client's p99 grew {ratio:.2f} times")
    return problems


if __name__ == "__main__":
    sys.exit(main())
