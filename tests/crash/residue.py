#!/usr/bin/env python3
"""What is left in the relay's memory of those it has mailed: 2,000 people, whose cache entries live for a second, over both doors
into a first MTA that repeats addresses and subjects; then nothing for a minute; then the process is read from end to end. Nobody
is in it, and no secret but what it needs: the first MTA's password, once. And while messages wait for that MTA's answers, each is
there twice at most.

    residue.py BINARY [--idle SECONDS] [--show]

Every value begins with the same letters, drawn anew for each run, so that one search finds them all, in every form that
`examples/leaks` knows. Another process's memory is read through /proc/PID/mem, which takes root.
"""

import argparse
import http.client
import json
import os
import random
import re
import smtplib
import ssl
import string
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
from relay import DOMAIN, IDENTITY, USER, Lab, LabError, first_line, free_ports, wait_port  # noqa: E402

PEOPLE, BY_SMTP = 2000, 300
FIELDS = ("email", "phone", "first_name", "last_name", "street", "city", "balance")
IDLE_SECONDS = 60
# It names whom it refuses, and repeats subjects.
PROFILE = "refuse-rcpt=7,refuse-content=11"
# For those that are looked at on their way: late enough for a look at the whole process.
SLOW = "slow=1500"
IN_FLIGHT, COPIES_MAX = 200, 2
LETTERS = string.ascii_lowercase
MESSAGE = """\
From: Brand <news@brand.example>\r
To: {to}\r
Subject: For {{{{person.first_name}}}} {{{{person.last_name}}}}\r
\r
Dear {{{{person.first_name}}}} {{{{person.last_name}}}}, {{{{person.street}}}} in {{{{person.city}}}}: {{{{person.balance}}}}, {{{{person.phone}}}}\r
"""


class Marks:
    """What all values begin with; letters of which no word is made, and digits that no number of ours has."""

    def __init__(self, dice):
        self.dice = dice
        self.word = "qx" + "".join(dice.choice("bcdfghjkmpqvwxz") for _ in range(10))
        self.digits = "+49151" + "".join(dice.choice(string.digits) for _ in range(5))

    def value(self, field, number):
        rest = "".join(self.dice.choice(LETTERS) for _ in range(8))
        return {"email": f"{self.word}{rest}@{self.word}{number}.test", "phone": f"{self.digits}{number:04}"}.get(field, f"{self.word}{rest}")

    def person(self, number):
        return {"customer_id": f"c{number}", "consent": "service", **{field: self.value(field, number) for field in FIELDS}}


class Stage(Lab):
    def __init__(self, binary, marks):
        [self.http_port] = free_ports(1)
        doors = [("http", f"127.0.0.1:{self.http_port}", "implicit", IDENTITY + 'accept = "auto"\n')]
        self.password = "".join(marks.dice.choice(LETTERS) for _ in range(24))
        super().__init__(binary, [marks.person(number) for number in range(PEOPLE)], doors=doors, more='[cache]\nttl = "1s"\nnegative_ttl = "1s"\n')

    def start(self):
        super().start()
        wait_port(self.http_port, self.relay, lambda: self.log)
        return self

    def start_sink(self):
        certs = self.folder / "certs"
        self.behaviour.write_text("accept")
        sink = self.spawn("sink", "sink", "--listen", "127.0.0.1:0", "--tls", "starttls", "--cert", certs / "mta1.pem", "--key",
                          certs / "mta1.key", "--auth", f"mta:{self.password}", "--profile-from", self.behaviour, "--json")
        line = first_line(self.folder / "sink.log", sink)
        return {"port": int(json.loads(line)["listening"].rsplit(":", 1)[1]), "ca": "certs/ca.pem", "user": "mta", "password": self.password}

    @property
    def behaviour(self):
        return self.folder / "behaviour"

    def post(self, key, jobs):
        talk = http.client.HTTPSConnection("127.0.0.1", self.http_port, timeout=120, context=self.tls())
        head = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        talk.request("POST", "/v1/jobs", "".join(json.dumps(job) + "\n" for job in jobs), head)
        answers = [json.loads(line) for line in talk.getresponse().read().splitlines()]
        talk.close()
        return answers

    def copies_in_flight(self):
        """How often each message that is on its way stands in memory."""
        people = self.people[-IN_FLIGHT:]
        jobs = [{"job_id": f"f{number}", "to": self.address(person), "campaign": "residue",
                 "content": {"from": "news@brand.example", "subject": "In flight", "text": "Wing {{person.first_name}} {{person.last_name}}"}}
                for number, person in enumerate(people)]
        # Sessions that stand already: a slow MTA's greeting would keep all of them waiting.
        self.post(self.secret, [{**job, "job_id": "w" + job["job_id"]} for job in jobs])
        self.behaviour.write_text(SLOW)
        time.sleep(1)
        begun = threading.Thread(target=self.post, args=(self.secret, jobs))
        begun.start()
        time.sleep(3)
        found = [match for _, content in contents(self.relay.pid) for match in re.findall(rb"Wing (\w+ \w+)", content)]
        counts = [found.count(f"{person['first_name']} {person['last_name']}".encode()) for person in people]
        self.behaviour.write_text("accept")
        begun.join()
        return counts

    def over_http(self):
        """A result for each, and two requests with a wrong key."""
        jobs = [{"job_id": f"h{number}", "to": self.address(person), "campaign": "residue",
                 "content": {"from": "news@brand.example", "subject": "For {{person.first_name}}",
                             "text": "{{person.last_name}}, {{person.street}}, {{person.city}}: {{person.balance}} {{person.phone}}",
                             "html": "<p>{{person.first_name}} {{person.email}}</p>"}}
                for number, person in enumerate(self.people)]
        self.post(self.wrong_key, jobs)
        return self.post(self.secret, jobs)

    wrong_key = "wrongkey" + "".join(random.choice(LETTERS) for _ in range(20))

    def over_smtp(self):
        """Two connections, one a way to log in, which stay open."""
        talks = []
        for number, way in enumerate(("auth_plain", "auth_login")):
            talk = smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=120)
            talk.starttls(context=self.tls())
            talk.ehlo()
            talk.user, talk.password = USER, self.secret
            talk.auth(way[5:].upper(), getattr(talk, way))
            for person in self.people[number:BY_SMTP:2]:
                try:
                    talk.sendmail("news@brand.example", [self.address(person)], MESSAGE.format(to=self.address(person)))
                except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError):
                    pass
            talks.append(talk)
        return talks


def regions(pid):
    """What the process can read, but its program text and what the kernel shows in it."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
        begins, ends, mode, name = int(found[1], 16), int(found[2], 16), found[3], found[4]
        if mode.startswith("rw") and not name.startswith("[v"):
            yield begins, ends, name or "heap"


def contents(pid):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for begins, ends, name in regions(pid):
            memory.seek(begins)
            try:
                yield f"{begins:x}-{re.sub('[^a-z0-9]', '', name)}", memory.read(ends - begins)
            except OSError:
                continue


def dump(pid, folder):
    for name, content in contents(pid):
        (folder / name).write_bytes(content)


def search(lab, values, show):
    """How often each of the values is in the relay's memory, in whatever form."""
    finder = lab.binary.parent / "examples" / "leaks"
    if not finder.exists():
        raise LabError(f"{finder} is missing: cargo build --profile tested --example leaks")
    with tempfile.TemporaryDirectory(prefix="tokenrelay-residue-", dir="/dev/shm") as folder:
        folder = Path(folder)
        (folder / "memory").mkdir()
        (folder / "values").write_text("".join(f"{value}\n" for value in values.values()))
        dump(lab.relay.pid, folder / "memory")
        done = subprocess.run([finder, folder / "values", folder / "memory"], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise LabError(f"the search failed: {done.stderr}")
        lines = done.stdout.splitlines()
        counts = dict.fromkeys(values, 0)
        for line in lines:
            counts[list(values)[int(re.search(r"value (\d+) as", line)[1])]] += 1
        if show:
            show_places(lines)
        return counts


def show_places(lines):
    for line in lines[:: max(1, len(lines) // 40)]:
        path, at = re.search(r": (/\S+): value", line), re.search(r"at byte (\d+)$", line)
        if path and at:
            content, at = Path(path[1]).read_bytes(), int(at[1])
            print(Path(path[1]).name, at, content[max(0, at - 120):at + 120])


def findings(counts):
    """The password of the first MTA is needed for its next session, and is there once."""
    allowed = {"password of the first MTA": 1}
    return [f"{what}: found {count} times" for what, count in counts.items() if count > allowed.get(what, 0)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("binary")
    arguments.add_argument("--idle", type=float, default=IDLE_SECONDS)
    arguments.add_argument("--show", action="store_true", help="where they are, in clear: they are invented")
    args = arguments.parse_args()
    if os.geteuid() != 0:
        print("skipped: another process's memory is read by root only")
        return 0
    marks = Marks(random.Random())
    with Stage(args.binary, marks) as lab:
        values = {"values": marks.word, "phones": marks.digits, "secret of the engine": lab.secret, "wrong key": lab.wrong_key,
                  "password of the first MTA": lab.password, "root key": (lab.folder / "keys/vault.key").read_text().strip()}
        copies = lab.copies_in_flight()
        lab.behaviour.write_text(PROFILE)
        answers = lab.over_http()
        talks = lab.over_smtp()
        seen = search(lab, values, False)
        time.sleep(args.idle)
        left = search(lab, values, args.show)
        for talk in talks:
            talk.quit()
    states = {state: sum(answer["state"] == state for answer in answers) for state in {answer["state"] for answer in answers}}
    print(f"{len(answers)} answers {states}; right behind them in memory: {seen}; after {args.idle:g} s: {left}")
    print(f"of {len(copies)} messages that were taken, {sum(map(bool, copies))} stood in memory when it was read, {max(copies)} times at most")
    failures = findings(left)
    if max(copies) > COPIES_MAX or sum(map(bool, copies)) < IN_FLIGHT / 4:
        failures.append(f"in flight: {sorted(copies)}")
    if len(answers) != PEOPLE or states.get("relayed", 0) + states.get("journaled", 0) < PEOPLE / 2 or not states.get("rejected"):
        failures.append("the messages did not go their ways")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
