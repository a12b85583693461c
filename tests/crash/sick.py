#!/usr/bin/env python3
"""One of three equal targets falls sick, in nine ways, while jobs come at a steady rate: the other two do not feel it, few messages are
in doubt, few attempts are wasted, nothing is lost, and the target is in use again soon after it is well.

    sick.py BINARY [--seed S] [CASE...]

A case is a way to accept jobs; each goes through all nine ways to be sick, or those given in SICK_WAYS (comma separated).
"""

import contextlib
import http.client
import json
import os
import re
import signal
import sys
import threading
import time

from cases import RECOVERY_SECONDS_MAX, leaks, run_cases, waiting
from engine import POSITIVE
from lab import Lab, until
from ledger import Ledger

RATE = int(os.environ.get("SICK_RATE", "90"))
SENDERS = 64
BEFORE_SECONDS, SICK_SECONDS = 3, 6
SHARE_MIN, ADDED_P99_MAX = 0.95, 0.050
IN_DOUBT_MAX, WASTED_MAX = 10, 40
# How the sick target behaves: on the sessions it has, or after a new start, which is how one comes to refuse new ones.
RUNNING = {"never answers the dot": "hang-after-data", "451 to all": "decline", "drops behind the dot": "drop-after-data"}
STARTED = {"never greets": "hang-greeting", "554 greeting": "554-greeting", "421 to EHLO": "421-ehlo", "stalls before TLS": "hang-at-ehlo"}
WAYS = ["refuses connections", *STARTED, *RUNNING, "is stopped"]
SICK, SOUND = "mta1", ("mta2", "mta3")
COUNTER = re.compile(r'^tokenrelay_target_total\{target="([^"]+)",what="([^"]+)"\} (\d+)', re.M)


class Ward(Lab):
    """A lab whose targets follow a file."""

    def behave(self, name, profile):
        (self.folder / f"profile-{name}").write_text(profile)

    def sink_options(self, name):
        file = self.folder / f"profile-{name}"
        if not file.exists():
            file.write_text(self.profiles[name])
        return ["--profile-from", file]

    def fall_sick(self, way):
        if way == "is stopped":
            self.sinks[SICK].send_signal(signal.SIGSTOP)
        elif way in RUNNING:
            self.behave(SICK, RUNNING[way])
        else:
            self.close_sink(SICK)
            if way in STARTED:
                self.behave(SICK, STARTED[way])
                self.open_sink(SICK)

    def recover(self, way):
        self.behave(SICK, "accept")
        if way == "is stopped":
            self.sinks[SICK].send_signal(signal.SIGCONT)
        elif way == "refuses connections":
            self.open_sink(SICK)
        # One that is well again does not keep what hung.
        elif way not in ("451 to all", "drops behind the dot"):
            self.close_sink(SICK)
            self.open_sink(SICK)

    def counters(self):
        return {(target, what): int(count) for target, what, count in COUNTER.findall(self.get("/metrics")[1])}


class Stream:
    """Single jobs at a steady rate, each timed from the moment it is due."""

    def __init__(self, lab, rate=RATE, senders=SENDERS):
        self.lab, self.secret, self.rate = lab, lab.secret, rate
        self.answers, self.lock, self.is_over = [], threading.Lock(), threading.Event()
        self.number, self.began = 0, time.monotonic()
        self.threads = [threading.Thread(target=self.send, daemon=True) for _ in range(senders)]
        for thread in self.threads:
            thread.start()

    def due(self):
        with self.lock:
            self.number += 1
            return self.number, self.began + self.number / self.rate

    def send(self):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.lab.ports["http"], timeout=60)) as connection:
            while not self.is_over.is_set():
                number, at = self.due()
                time.sleep(max(0.0, at - time.monotonic()))
                person = self.lab.people[number % len(self.lab.people)]
                job = {"job_id": f"s-{number:07}", "to": person["address"], "template": "welcome", "locale": "en",
                       "data": {"shop": f"Shop {number}"}}
                connection.request("POST", "/v1/jobs", json.dumps(job), {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"})
                sent_at = time.monotonic()
                response = connection.getresponse()
                answer = json.loads(response.read())
                now = time.monotonic()
                # A job that no sender was free for in time is late by the sender's doing.
                self.answers.append({**answer, "at": at, "took": now - at, "answered_in": now - sent_at, "status": response.status})

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(90)

    def between(self, begin, end):
        return [answer for answer in list(self.answers) if begin <= answer["at"] < end]

    def sound(self, begin, end):
        """Those that the sick target did not have in its hands."""
        return [answer for answer in self.between(begin, end) if answer.get("target") != SICK and answer.get("state") != "unknown"]


def p99(answers):
    took = sorted(answer["took"] for answer in answers)
    return took[min(len(took) - 1, len(took) * 99 // 100)] if took else float("inf")


def per_second(before, after, seconds):
    return sum(after[(name, "relayed")] - before[(name, "relayed")] for name in SOUND) / seconds


def endure(lab, stream, way):
    """One way to be sick, and what is wrong with how the others bore it."""
    began, before = time.monotonic(), lab.counters()
    time.sleep(BEFORE_SECONDS)
    sick_at, usual = time.monotonic(), lab.counters()
    lab.fall_sick(way)
    time.sleep(SICK_SECONDS)
    well_at, borne = time.monotonic(), lab.counters()
    lab.recover(way)

    def is_used_again():
        return lab.counters()[(SICK, "relayed")] > borne[(SICK, "relayed")] + 10

    problems = until(is_used_again, RECOVERY_SECONDS_MAX, "the target is in use again")
    again_after, after = time.monotonic() - well_at, lab.counters()
    share = per_second(usual, borne, well_at - sick_at) / per_second(before, usual, sick_at - began)
    p99_before = p99(stream.sound(began, sick_at))
    added = p99(stream.sound(sick_at, well_at)) - p99_before
    in_doubt = after[(SICK, "in_doubt")] - usual[(SICK, "in_doubt")]
    # Each session is one attempt at least, and each message that is refused.
    wasted = sum(borne.get((SICK, what), 0) - usual.get((SICK, what), 0) for what in ("sessions_made", "connect_failures", "refused", "declined"))
    states = {}
    for answer in stream.between(sick_at, well_at):
        state = answer.get("state", "none")
        states[state] = states.get(state, 0) + 1
    print(f"  {way}: the others at {share:.2f} of their rate, p99 {p99_before * 1000:.0f}{added * 1000:+.0f} ms, {in_doubt} in doubt, {wasted} attempts wasted, "
          f"in use again after {again_after:.1f} s, {states}", flush=True)
    problems += [f"the others carried {share:.2f} of what they did before"] if share < SHARE_MIN else []
    # On a machine that is busy with something else, it may double.
    problems += [f"p99 grew by {added * 1000:.0f} ms"] if added > max(ADDED_P99_MAX, p99_before) else []
    problems += [f"{in_doubt} messages in doubt"] if in_doubt > IN_DOUBT_MAX else []
    problems += [f"{wasted} attempts wasted"] if wasted > WASTED_MAX else []
    return [f"{way}: {problem}" for problem in problems]


def case_overload(args):
    """Ten times what the target takes, with auto: what is accepted is answered soon, what is not is told at once, and the target is
    kept as busy as it can be."""
    slow = f"slow={os.environ.get('SLOW_MS', '60')},no-pipelining,no-chunking"
    limits = {"handoff_wait": "10s", "jobs_in_flight_max": 64}
    with Ward(args.binary, args.seed, "auto", {"retry_first": "1s", "retry_max": "5s"}, limits, {SICK: slow}, connections=4) as lab:
        lab.start()
        peak = relayed_per_second(lab, Stream(lab, 60, 16))
        few = lab.resident_kib()
        stream = Stream(lab, 10 * peak, 96)
        under = relayed_per_second(lab, stream)
        most = lab.resident_kib()
        accepted = [answer["answered_in"] for answer in stream.answers if answer["status"] < 300]
        told = [answer["answered_in"] for answer in stream.answers if answer["status"] in (429, 503)]
        late, told_late = nth(accepted, 0.99), nth(told, 0.99)
        print(f"  {peak:.0f}/s at the peak, {under:.0f}/s under {10 * peak:.0f}/s; {len(accepted)} accepted, p99 {late * 1000:.0f} ms; "
              f"{len(told)} told to wait, p99 {told_late * 1000:.0f} ms; {(most - few) >> 10} MiB more")
        lab.behave(SICK, "accept")
        problems = until(lambda: not waiting(lab), 2 * RECOVERY_SECONDS_MAX, "everything held is delivered")
        problems += [f"p99 of what was accepted is {late * 1000:.0f} ms"] if late > 0.5 else []
        problems += [f"p99 of what was told to wait is {told_late * 1000:.0f} ms"] if told_late > 0.05 + late / 4 else []
        problems += [f"{under:.0f}/s under overload, {peak:.0f}/s before"] if under < 0.9 * peak else []
        problems += [f"{(most - few) >> 10} MiB more"] if most - few > 64 << 10 else []
        problems += lab.stop()
        arrived = {arrival["send"] for arrival in lab.arrivals() if arrival["code"] in (250, 0)}
        lost = {answer["send"] for answer in stream.answers if answer.get("state") in POSITIVE[:2]} - arrived
        return problems + ([f"{len(lost)} jobs are lost"] if lost else [])


def relayed_per_second(lab, stream, seconds=6):
    time.sleep(2)
    before = lab.counters()
    time.sleep(seconds)
    after = lab.counters()
    stream.stop()
    return (after[(SICK, "relayed")] - before[(SICK, "relayed")]) / seconds


def nth(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def go_through(args, accept, ways=WAYS):
    chosen = os.environ.get("SICK_WAYS")
    targets = {name: "accept" for name in (SICK, *SOUND)}
    with Ward(args.binary, args.seed, accept, {"retry_first": "1s", "retry_max": "5s"}, {"handoff_wait": "10s"}, targets) as lab:
        lab.start()
        stream = Stream(lab)
        time.sleep(2)
        problems = []
        for way in chosen.split(",") if chosen else ways:
            problems += endure(lab, stream, way)
        stream.stop()
        if accept != "handoff":
            problems += until(lambda: not waiting(lab), RECOVERY_SECONDS_MAX, "everything held is delivered")
        problems += lab.stop()
        arrived = {arrival["send"] for arrival in lab.arrivals() if arrival["code"] in (250, 0)}
        in_doubt = {send for send, row in Ledger(lab.database).rows.items() if row["state"] == "unknown"} if accept != "handoff" else set()
        taken = {answer["send"] for answer in stream.answers if answer.get("state") in POSITIVE[:2]}
        lost = taken - arrived - in_doubt
        deferred = sum(answer.get("state") == "deferred" for answer in stream.answers)
        print(f"  {len(stream.answers)} jobs, {len(lost)} lost, {deferred} deferred")
        problems += [f"{len(lost)} jobs are lost"] if lost else []
        problems += [f"{deferred} jobs were deferred though two targets are well"] if deferred > len(stream.answers) // 200 else []
        return problems + leaks(lab)


def case_handoff(args):
    """The engine waits for the first MTA's answer."""
    return go_through(args, "handoff")


def case_auto(args):
    """What is not taken soon is held."""
    return go_through(args, "auto", ["never greets", "never answers the dot", "drops behind the dot", "is stopped"])


def case_journal(args):
    """Everything is held first."""
    return go_through(args, "journal", ["never greets", "never answers the dot", "451 to all", "is stopped"])


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, globals()))
