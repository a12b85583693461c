#!/usr/bin/env python3
"""Tries to smuggle messages through the relay, and judges by one thing only: what reached the first MTA.

    sweep.py PATH-OF-TOKENRELAY

Every line end but CRLF.CRLF around every kind of dot, in DATA, BDAT and XPRT, over STARTTLS, implicit TLS and LMTP, cut into writes
in several ways (cases.py), at doors that take a bare LF for a line end and at doors that refuse it; transactions in the clear behind STARTTLS; content behind a refused DATA. Each carries a second
transaction, to a second person. At most one message of each may arrive, and none for that person.

The same cases are sent to a receiver that is known to be open. If nothing gets through there, the sweep is broken and fails.
"""

import base64
import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "clients")]
from cases import FRAMINGS, cases  # noqa: E402
from relay import IDENTITY, USER, Lab, environment, free_ports, lmtp_doors  # noqa: E402

PEOPLE = [{"customer_id": name, "email": f"{name}@people.test", "first_name": name, "consent": "service"} for name in ("one", "two")]
WORKERS, THREADS = 3, 12
REPLY_SECONDS_MAX = 20
BETWEEN_WRITES = 0.001  # enough for the other side to see them one by one, mostly
SHOWN_MAX = 20


class Client:
    """One connection, spoken to octet by octet."""

    def __init__(self, door):
        self.door = door
        self.socket = socket.create_connection(("127.0.0.1", door["port"]), timeout=REPLY_SECONDS_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if door["tls"] == "implicit":
            self.encrypt()
        self.unread = b""
        self.hear()

    def encrypt(self):
        self.socket = context(self.door["ca"]).wrap_socket(self.socket, server_hostname="127.0.0.1")

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")

    def hear(self):
        """One reply; empty when the other side has closed."""
        lines = []
        while True:
            while b"\r\n" not in self.unread:
                more = self.socket.recv(65536)
                if not more:
                    return ""
                self.unread += more
            line, self.unread = self.unread.split(b"\r\n", 1)
            lines.append(line.decode(errors="replace"))
            if line[3:4] != b"-":
                return "\n".join(lines)

    def ask(self, line):
        self.say(line)
        return self.hear()

    def enter(self):
        """All that comes before a transaction."""
        hello = f"{self.door.get('hello', 'EHLO')} engine.example"
        self.ask(hello)
        if self.door["tls"] == "starttls":
            self.ask("STARTTLS")
            self.encrypt()
            self.ask(hello)
        if self.door.get("login"):
            answer = self.ask(f"AUTH PLAIN {self.door['login']}")
            if not answer.startswith("235"):
                raise ConnectionError(f"login: {answer}")
        return self

    def write(self, pieces):
        for piece in pieces:
            self.socket.sendall(piece)
            if len(pieces) > 1:
                time.sleep(BETWEEN_WRITES)

    def hear_to_the_end(self):
        """Every reply until the other side closes."""
        replies = []
        while answer := self.hear():
            replies.append(answer)
        return replies

    def close(self):
        self.socket.close()


CONTEXTS = {}


def context(ca):
    if ca not in CONTEXTS:
        CONTEXTS[ca] = ssl.create_default_context(cafile=ca)
    return CONTEXTS[ca]


def attempt(case, doors, to, smuggled_to):
    """The replies to the content of one case; a word in their place when there was no end to them."""
    door = doors[case.number % 3 % len(doors)]
    client = None
    try:
        client = Client(door).enter()
        envelope = case.envelope(to)
        client.say("\r\n".join(envelope))
        for _ in envelope:
            answer = client.hear()
        if answer[:3] not in ("354", "250"):
            return case.number, f"no content was asked for: {answer}"
        try:
            client.write(case.writes(to, smuggled_to))
        except (ConnectionError, ssl.SSLError):
            pass  # refused while it was written, which is as good an answer
        return case.number, [reply[:3] for reply in client.hear_to_the_end()]
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
        return case.number, ["reset"]
    except (OSError, ssl.SSLError) as error:
        return case.number, f"{type(error).__name__}: {error}"
    finally:
        if client:
            client.close()


def attempts(given):
    batch, *rest = given
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda case: attempt(case, *rest), batch))


def run(every, *rest):
    """Number of the case -> its replies."""
    batches = [(every[at::WORKERS * 4], *rest) for at in range(WORKERS * 4)]
    with ProcessPoolExecutor(WORKERS) as processes:
        return dict(answer for batch in processes.map(attempts, batches) for answer in batch)


# ---- What arrived ----------------------------------------------------------------------------------------------------


def judge(every, arrived, smuggled_to):
    """Case -> what is wrong with what it brought about. `arrived` are (sender, recipients)."""
    wrong, own = {}, Counter()
    by_sender = {case.sender: case for case in every} | {case.smuggler: case for case in every}
    for sender, recipients in arrived:
        case = by_sender.get(sender)
        if case is None:
            continue
        own[case] += 1
        if case.is_end_of_data:
            continue
        if sender == case.smuggler or smuggled_to in recipients:
            wrong[case] = "the smuggled transaction was carried out"
        elif own[case] > 1:
            wrong[case] = f"{own[case]} messages arrived"
    return wrong


def of_relay(lab):
    return [(envelope["sender"], envelope["recipients"]) for envelope, _ in lab.arrived()]


def sweep_relay(lab, problems):
    """The same cases at both kinds of doors."""
    login = base64.b64encode(f"\0{USER}\0{lab.secret}".encode()).decode()
    ca = str(lab.ca)
    doors = [{"port": lab.smtp_port, "tls": "starttls", "ca": ca, "login": login},
             {"port": lab.smtps_port, "tls": "implicit", "ca": ca, "login": login}]
    if lab.lmtp:
        doors.append({"port": lab.lmtp["port"], "tls": "starttls", "ca": ca, "login": login, "hello": "LHLO"})
    first = sweep_doors(lab, "normalize", doors, 0, problems)
    refusing = [{"port": port, "tls": tls, "ca": ca, "login": login, "hello": hello} for port, tls, hello in lab.refusing]
    sweep_doors(lab, "refuse", refusing, first, problems)


def sweep_doors(lab, bare_newline, doors, first, problems):
    """Gives the number behind the last of these cases."""
    every = cases([framing for framing in FRAMINGS if framing != "XPRT" or has_merge(doors[0])], first=first)
    to, smuggled_to = (lab.address(person) for person in lab.people)
    replies = run(every, doors, to, smuggled_to)
    for case in every:
        if isinstance(replies[case.number], str):
            problems.append(f"{case}: {replies[case.number]}")
    arrived = of_relay(lab)
    wrong = judge(every, arrived, PEOPLE[1]["email"])
    problems += [f"{case}: {what}" for case, what in wrong.items()]
    problems += lax_reading(lab)
    # What may be a message and was no fault is one: a door that refuses everything would be safe too.
    brought = {sender for sender, _ in arrived}
    lost = [case for case in every if takes(case, bare_newline) and case.sender not in brought]
    problems += [f"{case}: bare_newline = {bare_newline}, and it did not arrive" for case in lost]
    # The end of a message has to be one, or the cases prove nothing.
    senders = Counter(sender for sender, _ in arrived)
    for case in every:
        if case.is_end_of_data and (senders[case.sender], senders[case.smuggler]) != (1, 1):
            problems.append(f"{case}: two messages were sent, {senders[case.sender]} and {senders[case.smuggler]} arrived")
    kinds = Counter(" ".join(replies[case.number]) for case in every if not isinstance(replies[case.number], str))
    came = sum(1 for case in every if case.sender in brought)
    print(f"relay, {bare_newline}: {len(every)} cases, {came} messages arrived, {len(wrong)} holes")
    for kind, count in kinds.most_common(8):
        print(f"    {count:5} answered {kind}")
    return first + len(every)


def takes(case, bare_newline):
    """Whether nothing is wrong with the content at such a door."""
    octets, _, _ = case.stream("x@case.example", "y@case.example")
    bare = octets.replace(b"\r\n", b"")
    return not (b"\r" in bare or b"\0" in bare or b"\n" in bare and bare_newline == "refuse")


def has_merge(door):
    client = Client(door).enter()
    offers = client.ask("EHLO engine.example")
    client.close()
    return "XMRG" in offers


def lax_reading(lab):
    """What a first MTA with other ideas of a line end would see another message in."""
    for envelope, content in lab.arrived():
        if b"\0" in content or b"\r" in content.replace(b"\r\n", b"") or b"\n" in content.replace(b"\r\n", b""):
            yield f"{envelope['sender']}: a bare CR, a bare LF or a NUL was passed on"


# ---- STARTTLS and refused DATA ---------------------------------------------------------------------------------------


def injected(login, to, number):
    login = f"AUTH PLAIN {login}\r\n" if login else ""
    return (f"EHLO engine.example\r\n{login}MAIL FROM:<i{number}@case.example>\r\nRCPT TO:<{to}>\r\nDATA\r\n"
            f"From: i{number}@case.example\r\nTo: <{to}>\r\nSubject: injected\r\n\r\nx\r\n.\r\n").encode()


def inject(door, login, to, number, pieces):
    """Writes a transaction in the clear behind STARTTLS, shakes hands, and goes on as a client that knows nothing of it."""
    client = Client(door)
    try:
        client.ask("EHLO engine.example")
        client.write(pieces(injected(login, to, number)))
        if not client.hear().startswith("220"):
            return "refused"
        client.encrypt()
        client.ask("NOOP")
        client.say("QUIT")
        return f"forgotten: {' '.join(reply[:3] for reply in client.hear_to_the_end())}"
    except (OSError, ssl.SSLError):
        return "no TLS"
    finally:
        client.close()


INJECTIONS = {
    "in one write": lambda behind: [b"STARTTLS\r\n" + behind],
    "in two writes": lambda behind: [b"STARTTLS\r\n", behind],
    "cut in its CRLF": lambda behind: [b"STARTTLS\r", b"\n" + behind],
    "a NOOP alone": lambda behind: [b"STARTTLS\r\nNOOP\r\n"],
    "half a line": lambda behind: [b"STARTTLS\r\nEHLO x"],
    "EHLO before it": lambda behind: [b"EHLO x\r\nSTARTTLS\r\n" + behind],
}


def injections_into(door, login, to):
    return {name: inject(door, login, to, number, pieces) for number, (name, pieces) in enumerate(INJECTIONS.items())}


def starttls(lab, login, problems):
    door = {"port": lab.smtp_port, "tls": "starttls", "ca": str(lab.ca)}
    before = len(of_relay(lab))
    answers = injections_into(door, login, lab.address(lab.people[0]))
    if len(of_relay(lab)) != before:
        problems.append("a message that was injected behind STARTTLS arrived")
    print("STARTTLS:", "; ".join(f"{name}: {answer}" for name, answer in answers.items()))
    problems += state_across_starttls(door, login)


def state_across_starttls(door, login):
    """What was said in the clear counts for nothing; STARTTLS works once."""
    client = Client(door)
    client.ask("EHLO engine.example")
    for command, wanted in ((f"AUTH PLAIN {login}", "538"), ("MAIL FROM:<x@case.example>", "530"), ("STARTTLS", "220")):
        if not (answer := client.ask(command)).startswith(wanted):
            yield f"in the clear, {command[:8]} is answered {answer}"
    client.encrypt()
    for command, wanted in ((f"AUTH PLAIN {login}", "503"), ("EHLO engine.example", "250"), ("STARTTLS", "503"),
                            (f"AUTH PLAIN {login}", "235"), ("STARTTLS", "503"), ("MAIL FROM:<x@case.example>", "250")):
        if not (answer := client.ask(command)).startswith(wanted):
            yield f"behind STARTTLS, {command[:8]} is answered {answer}"
    client.close()


def refused_data(lab, login, problems):
    """An engine whose recipient is refused goes on with DATA and content, unasked, and the content begins as commands do. Nothing of it is one."""
    good, smuggled_to = (lab.address(person) for person in lab.people)
    door = {"port": lab.smtps_port, "tls": "implicit", "ca": str(lab.ca), "login": login}
    answers = {}
    unknown = f"e_000000000000@{good.split('@')[1]}"
    refusals = {"unknown token": ["MAIL FROM:<{}>", f"RCPT TO:<{unknown}>"], "plain address": ["MAIL FROM:<{}>", "RCPT TO:<dana@people.test>"],
                "no recipient": ["MAIL FROM:<{}>"], "no MAIL": [], "refused MAIL": ["MAIL FROM:<{}> SIZE=99999999999", f"RCPT TO:<{good}>"]}
    beginnings = {"a header": "From: {}\r\nTo: <x@case.example>\r\nSubject: x\r\n\r\nx\r\nRSET\r\n", "RSET": "RSET\r\n", "NOOP": "NOOP\r\n",
                  "MAIL": ""}
    every = [(f"{why}, {begins}, {'content in its own write' if cut else 'one write'}", envelope, beginning, cut)
             for why, envelope in refusals.items() for begins, beginning in beginnings.items() for cut in (False, True)]
    for number, (name, commands, beginning, is_cut) in enumerate(every):
        sender = f"r{number}@case.example"
        content = (beginning.format(sender) + f"MAIL FROM:<{sender}>\r\nRCPT TO:<{smuggled_to}>\r\nDATA\r\n"
                   f"From: {sender}\r\n\r\nx\r\n.\r\nQUIT\r\n").encode()
        envelope = "".join(command.format(sender) + "\r\n" for command in commands)
        cut_behind = (b"DATA\r\n",) if is_cut else ()
        whole = envelope.encode() + b"DATA\r\n" + content
        marks = [whole.index(mark) + len(mark) for mark in cut_behind]
        pieces = [whole[:marks[0]], whole[marks[0]:]] if marks else [whole]
        client = Client(door).enter()
        try:
            for piece in pieces:
                client.socket.sendall(piece)
                time.sleep(0.05)
            answers[name] = " ".join(reply[:3] for reply in client.hear_to_the_end())
        except OSError:
            answers[name] = "closed"
        client.close()
        if any(arrived == sender for arrived, _ in of_relay(lab)):
            problems.append(f"content behind a refused DATA ({name}) was read as commands")
    print(f"refused DATA: {len(answers)} cases:", "; ".join(f"{name}: {answer}" for name, answer in list(answers.items())[::9]))


# ---- The victim ------------------------------------------------------------------------------------------------------


def sweep_victim(lab, problems):
    """The cases that a receiver of DATA in the clear can be tried with."""
    record = lab.folder / "victim.ndjson"
    certs = lab.folder / "certs"
    victim = subprocess.Popen([environment(HERE / "requirements.txt"), HERE / "victim.py", certs / "mta1.pem", certs / "mta1.key", record],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(lab.folder / "victim.log").open("w"), text=True)
    try:
        clear, encrypted = json.loads(victim.stdout.readline())
        every = cases(framings=("DATA",), cuts=("whole", "before the dot"))
        run(every, [{"port": clear, "tls": "none"}], "one@victim.test", "two@victim.test")
        arrived = [(message["sender"], message["recipients"]) for message in map(json.loads, record.read_text().splitlines())]
        holes = judge(every, arrived, "two@victim.test")
        answers = injections_into({"port": encrypted, "tls": "starttls", "ca": str(lab.ca)}, None, "one@victim.test")
        injected_ones = [line for line in record.read_text().splitlines() if '"i' in line]
    finally:
        victim.stdin.close()
        victim.wait(20)
    print(f"aiosmtpd 1.4.4: {len(every)} cases, {len(holes)} holes, for one {next(iter(holes), None)}; "
          f"{len(injected_ones)} injected messages of {len(answers)}")
    if not holes:
        problems.append("nothing was smuggled into the receiver that is known to be open: the sweep is broken")
    if not injected_ones:
        problems.append("nothing was injected behind STARTTLS of the receiver that is known to be open: the test is broken")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    problems, began = [], time.monotonic()
    extra_doors, lmtp = lmtp_doors(sys.argv[1])
    refusing = [(port, *rest) for port, rest in zip(free_ports(3), (("starttls", "EHLO"), ("implicit", "EHLO"), ("starttls", "LHLO")))]
    for port, tls, hello in refusing:
        kind = "lmtp" if hello == "LHLO" else "smtp"
        extra_doors.append((kind, f"127.0.0.1:{port}", tls, IDENTITY + 'bare_newline = "refuse"\n'))
    with Lab(sys.argv[1], PEOPLE, doors=extra_doors, limits={"connections_per_source_max": 1000}) as lab:
        lab.lmtp, lab.refusing = lmtp, refusing
        login = base64.b64encode(f"\0{USER}\0{lab.secret}".encode()).decode()
        sweep_relay(lab, problems)
        starttls(lab, login, problems)
        refused_data(lab, login, problems)
        sweep_victim(lab, problems)
        if not lab.stop():
            problems.append("the relay did not end in peace")
    if lmtp:
        shutil.rmtree(lmtp["path"].parent, ignore_errors=True)
    for problem in problems[:SHOWN_MAX]:
        print(problem)
    print(f"{len(problems)} problems, {time.monotonic() - began:.0f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
