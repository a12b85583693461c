"""A campaign engine that gives up no job: what gets no answer, or a temporary one, is submitted again under the same id.

Every positive answer is written to a record of the engine's own (O_DSYNC) before anything else is made of it.
"""

import base64
import http.client
import json
import os
import re
import socket
import threading
import time
from pathlib import Path

from lab import ENGINE, SENDER

BATCH = 100
SMTP_BATCH = 50
PAUSE_SECONDS = 0.05
TIMEOUT_SECONDS = 30
POSITIVE = ("relayed", "journaled", "unknown")
# Nothing to submit again either: the relay cannot know whether it arrived.
SMTP_IN_DOUBT = re.compile(rb"^554 5\.4\.2 outcome unknown.*\((s_[a-z2-7]+)\)")
SMTP_ANSWER = re.compile(rb"^250 2\.0\.0 Ok: (relayed|journaled|outcome unknown, held) as (s_[a-z2-7]+)")


class Refused(Exception):
    """An answer that submitting again would not change."""


class Engine:
    """Jobs 0 to `jobs` - 1, some over each of `doors`; which and what for is the job's number, so that a repetition is the same."""

    def __init__(self, lab, jobs, doors=("http", "smtp"), campaign="c1", target=None, prefix="c"):
        self.lab, self.jobs, self.doors, self.campaign, self.target, self.prefix = lab, jobs, doors, campaign, target, prefix
        self.secret = lab.secret
        self.waiting = {door: [n for n in range(jobs) if doors[n % len(doors)] == door][::-1] for door in doors}
        self.again = {door: [] for door in doors}
        # By job: the answer, and how often it was submitted.
        self.answers, self.submitted = {}, [0] * jobs
        # Send numbers whose answer said that the job may have come before.
        self.told_repeated = set()
        self.allowed = jobs
        self.deferred, self.broken, self.refused = 0, 0, []
        self.lock, self.is_over = threading.Lock(), threading.Event()
        self.file = os.open(lab.folder / f"answers-{prefix}.ndjson", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_DSYNC, 0o600)
        self.threads = []

    # ---- Jobs --------------------------------------------------------------------------------------------------------

    def job_id(self, number):
        return f"{self.prefix}-{number:07}"

    def person(self, number):
        return self.lab.people[number % len(self.lab.people)]

    def job(self, number):
        job = {"job_id": self.job_id(number), "to": self.person(number)["address"], "campaign": self.campaign}
        if self.target:
            job["target"] = self.target
        if number % 3:
            return {**job, "template": "welcome", "locale": ("en", "he", "ja")[number % 3], "data": {"shop": f"Shop {number}"}}
        content = {"from": SENDER, "subject": "Hello {{person.first_name}}", "text": "Dear {{person.first_name}} {{person.last_name}}\n",
                   "html": "<p>Dear <b>{{person.first_name}}</b> of {{person.city}}</p>"}
        return {**job, "purpose": "service", "content": content}

    def message(self, number):
        return (f"From: {SENDER}\r\nTo: {self.person(number)['address']}\r\nSubject: Hello {{{{person.first_name}}}}\r\n"
                f"X-TokenRelay-Job-Id: {self.job_id(number)}\r\nX-TokenRelay-Campaign: {self.campaign}\r\n"
                f"X-TokenRelay-Purpose: service\r\n" + (f"X-TokenRelay-Target: {self.target}\r\n" if self.target else "") +
                f"\r\nDear {{{{person.first_name}}}} {{{{person.last_name}}}},\r\nmessage {number}\r\n.\r\n").encode()

    # ---- What becomes of them ----------------------------------------------------------------------------------------

    def start(self, http=3, smtp=8):
        workers = {"http": (self.over_http, http), "smtp": (self.over_smtp, smtp)}
        for door in self.doors:
            work, count = workers[door]
            self.threads += [threading.Thread(target=self.keep_at, args=(door, work), daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(TIMEOUT_SECONDS)
        os.close(self.file)

    def is_answered(self):
        return len(self.answers) + len(self.refused) == self.jobs

    def unanswered(self):
        return self.jobs - len(self.answers) - len(self.refused)

    def accepted(self):
        """As the record on disk has it: send number by job."""
        lines = Path(self.lab.folder / f"answers-{self.prefix}.ndjson").read_text().splitlines()
        return {answer["job"]: answer for answer in map(json.loads, lines)}

    def take(self, door, count):
        with self.lock:
            taken = [self.again[door].pop() for _ in range(min(count, len(self.again[door])))]
            while len(taken) < count and self.waiting[door] and self.waiting[door][-1] < self.allowed:
                taken.append(self.waiting[door].pop())
            for number in taken:
                self.submitted[number] += 1
            return taken

    def put_back(self, door, numbers):
        with self.lock:
            self.again[door] += numbers

    def note(self, found):
        """`found`: (job, send number, state). Back when the disk has them."""
        lines = "".join(json.dumps({"job": number, "send": send, "state": state}) + "\n" for number, send, state in found)
        os.write(self.file, lines.encode())
        with self.lock:
            for number, send, state in found:
                self.answers[number] = (send, state)

    def refuse(self, number, what):
        with self.lock:
            self.refused.append((self.job_id(number), what))

    def keep_at(self, door, work):
        while not self.is_over.is_set():
            try:
                if not work():
                    time.sleep(PAUSE_SECONDS)
            except (OSError, http.client.HTTPException, ValueError):
                with self.lock:
                    self.broken += 1
                time.sleep(PAUSE_SECONDS)

    # ---- Doors -------------------------------------------------------------------------------------------------------

    def over_http(self):
        """One stream of jobs. Whatever ends it, what has no answer goes back."""
        numbers = self.take("http", BATCH)
        if not numbers:
            return False
        left = {self.job_id(number): number for number in numbers}
        found = []
        try:
            with socket.create_connection(("127.0.0.1", self.lab.ports["http"]), timeout=TIMEOUT_SECONDS) as plain:
                body = b"".join(json.dumps(self.job(number)).encode() + b"\n" for number in numbers)
                head = (f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.secret}\r\n"
                        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n")
                plain.sendall(head.encode() + body)
                answer = http.client.HTTPResponse(plain)
                answer.begin()
                if answer.status != 200:
                    raise ValueError(f"status {answer.status}: {answer.read()[:300]}")
                for line in answer:
                    self.judge(json.loads(line), left, found)
                    if len(found) >= 50:
                        self.note(found)
                        found.clear()
        finally:
            if found:
                self.note(found)
            self.put_back("http", list(left.values()))
        return True

    def judge(self, result, left, found):
        number = left.get(result.get("job_id"))
        if number is None:
            raise ValueError(f"an answer to no question: {result}")
        if result["state"] in POSITIVE:
            found.append((number, result["send"], result["state"]))
            if result.get("maybe_repeated"):
                self.told_repeated.add(result["send"])
        elif result["state"] == "deferred":
            self.deferred += 1
            return
        else:
            self.refuse(number, result)
        del left[result["job_id"]]

    def over_smtp(self):
        numbers = self.take("smtp", SMTP_BATCH)
        if not numbers:
            return False
        found = []
        try:
            with socket.create_connection(("127.0.0.1", self.lab.ports["smtp"]), timeout=TIMEOUT_SECONDS) as plain:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                talk = Talk(plain)
                talk.hear(b"220")
                talk.ask(b"EHLO engine.example\r\n", b"250")
                talk.ask(b"AUTH PLAIN " + base64.b64encode(f"\0{ENGINE}\0{self.secret}".encode()) + b"\r\n", b"235")
                while numbers:
                    self.submit(talk, numbers[-1], found)
                    numbers.pop()
                    if len(found) >= 10:
                        self.note(found)
                        found.clear()
                talk.ask(b"QUIT\r\n", b"221")
        finally:
            if found:
                self.note(found)
            self.put_back("smtp", numbers)
        return True

    def submit(self, talk, number, found):
        talk.send(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{self.person(number)['address']}>\r\nDATA\r\n".encode())
        for wanted in (b"250", b"250", b"354"):
            talk.hear(wanted)
        talk.send(self.message(number))
        answer = talk.hear()
        positive = SMTP_ANSWER.match(answer)
        if positive:
            state = {b"relayed": "relayed", b"journaled": "journaled"}.get(positive[1], "unknown")
            found.append((number, positive[2].decode(), state))
            if b"maybe_repeated" in answer:
                self.told_repeated.add(positive[2].decode())
        elif in_doubt := SMTP_IN_DOUBT.match(answer):
            found.append((number, in_doubt[1].decode(), "unknown"))
        elif answer.startswith(b"4"):
            self.deferred += 1
            self.put_back("smtp", [number])
        else:
            self.refuse(number, answer.decode(errors="replace"))


class Talk:
    """Lines of an SMTP session, from the engine's side."""

    def __init__(self, plain):
        self.plain, self.lines = plain, plain.makefile("rb")

    def send(self, octets):
        self.plain.sendall(octets)

    def hear(self, wanted=b""):
        while True:
            line = self.lines.readline()
            if not line.endswith(b"\n"):
                raise OSError("closed")
            if line[3:4] != b"-":
                break
        if not line.startswith(wanted):
            raise OSError(f"{line!r} where {wanted!r} was due")
        return line

    def ask(self, octets, wanted):
        self.send(octets)
        return self.hear(wanted)
