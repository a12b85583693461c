#!/usr/bin/env python3
"""Days on which something beside the relay fails for a while: nothing is lost, memory stays bounded, and it is tried again about
as often as `retry_first` and `retry_max` say.

    weather.py BINARY [--seed S] [CASE...]
"""

import glob
import json
import statistics
import sys
import time
from collections import Counter

from cases import Skip, finish, leaks, run_cases, waiting
from engine import Engine
from fault import Fault
from lab import Lab, until
from ledger import Ledger

RETRY_FIRST, RETRY_MAX = 0.2, 2.0
JOURNAL = {"disk_free_min": "16MiB", "retry_first": "200ms", "retry_max": "2s"}
BACKLOG_SMALL, BACKLOG = 2_000, 20_000
GROWTH_KIB_MAX = 64 << 10
RESIDENT_KIB_MAX = 512 << 10
OUTAGE_SECONDS = 10
# The longest pause between two attempts to reach a target that is down, and some to spare.
BREAKER_SECONDS_MAX = 45
DAY = 24 * 3600
HURRY_SECONDS = 15


def attempts_max(seconds):
    """The most that back-off allows within a time, each pause a fifth shorter than meant; and as much again, since this is about
    the order of magnitude."""
    attempts, pause, at = 1, RETRY_FIRST, 0.0
    while at < seconds:
        at += pause * 0.8
        pause = min(2 * pause, RETRY_MAX)
        attempts += 1
    return 2 * attempts


def attempts_problems(ledger, seconds):
    counts = [row["attempts"] for row in ledger.rows.values()]
    allowed = attempts_max(seconds)
    print(f"  attempts: median {statistics.median(counts):.0f}, most {max(counts)}; at most {allowed} in {seconds:.0f} s are allowed")
    return [f"{max(counts)} attempts of one job"] if max(counts) > allowed else []


def case_target_down(args):
    """The only target is away while jobs come in, comes back, goes again."""
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "accept"}) as lab:
        lab.start()
        engine = Engine(lab, BACKLOG)
        engine.allowed = 200
        engine.start()
        problems = until(lambda: len(lab.arrivals()) >= 200, 60, "the first jobs arrive")
        lab.close_sink("mta1")
        away = time.monotonic()
        engine.allowed = BACKLOG_SMALL
        problems += until(lambda: len(engine.answers) >= BACKLOG_SMALL, 60, "jobs are taken while the target is away")
        few = lab.resident_kib()
        engine.allowed = BACKLOG
        problems += until(engine.is_answered, 180, "jobs are taken while the target is away")
        most = few
        while time.monotonic() < away + OUTAGE_SECONDS:
            time.sleep(0.5)
            most = max(most, lab.resident_kib())
        print(f"  resident: {few >> 10} MiB with {BACKLOG_SMALL} jobs held, {most >> 10} MiB with {BACKLOG}")
        if most - few > GROWTH_KIB_MAX:
            problems.append(f"memory grew by {(most - few) >> 10} MiB with the backlog")
        lab.open_sink("mta1")
        problems += until(lambda: len(lab.arrivals()) > 1000, BREAKER_SECONDS_MAX, "delivery goes on soon after the target is back")
        lab.close_sink("mta1")
        time.sleep(2)
        lab.open_sink("mta1")
        problems += until(lambda: not waiting(lab), 240, "all is delivered")
        seconds = time.monotonic() - away
        most = max(most, lab.resident_kib())
        if most > RESIDENT_KIB_MAX:
            problems.append(f"{most >> 10} MiB resident")
        return problems + finish(lab, engine, restarts=False) + attempts_problems(Ledger(lab.database), seconds)


def case_slow_beside_healthy(args):
    """A target that takes a message a second does not hold up another one."""
    targets = {"slow": "one-message-per-second", "sound": "accept"}
    with Lab(args.binary, args.seed, "journal", JOURNAL, {"jobs_in_flight_max": 64}, targets, {"slow": 1, "sound": 8}) as lab:
        lab.start()
        slow = Engine(lab, 600, campaign="slow", target="slow", prefix="slow").start()
        problems = until(slow.is_answered, 60, "jobs for the slow target are taken")
        sound = Engine(lab, 3000, campaign="sound", target="sound", prefix="sound").start()
        began = time.monotonic()
        problems += until(sound.is_answered, 60, "jobs for the sound target are taken")
        problems += until(lambda: len(lab.arrivals("sound")) >= 3000, 60, "they arrive while the slow target still has a backlog")
        took, others = time.monotonic() - began, len(lab.arrivals("slow"))
        print(f"  3000 messages to the sound target in {took:.1f} s, {others} to the slow one meanwhile and before")
        if others >= 600:
            problems.append("the slow target was not slow: nothing was tried")
        # All may be over before its first second is.
        problems += until(lambda: len(lab.arrivals("slow")) >= 1, 10, "the slow target gets something too")
        slow.stop()
        sound.stop()
        # Once more, the other way round: fresh jobs for the slow target do not wait behind what failed there.
        lab.close_sink("slow")
        lab.profiles["slow"] = "accept"
        lab.open_sink("slow")
        problems += until(lambda: not waiting(lab), 60, "the rest is delivered once the target is quick")
        problems += lab.stop()
        ledger = Ledger(lab.database)
        arrived = {arrival["send"] for arrival in lab.arrivals() if arrival["code"] in (250, 0)}
        lost = [answer["send"] for engine in (slow, sound) for answer in engine.accepted().values() if answer["send"] not in arrived]
        in_doubt = {send for send, row in ledger.rows.items() if row["state"] == "unknown"}
        wrong = [send for send, row in ledger.rows.items() if row["state"] == "relayed" and row["target"] not in row["job_id"]]
        problems += [f"{len(lost)} accepted jobs are lost"] if set(lost) - in_doubt else []
        problems += [f"{len(wrong)} jobs went to another target"] if wrong else []
        return problems + ledger.problems() + leaks(lab)


def case_vault_fails(args):
    """The vault cannot be read for a while: what is held waits."""
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "accept"}) as lab:
        lab.cache_ttl = "1ms"
        lab.configure()
        lab.close_sink("mta1")
        lab.start()
        engine = Engine(lab, 600, ("http",)).start()
        problems = until(engine.is_answered, 60, "jobs are taken")
        began = time.monotonic()
        vault = next(iter((lab.state / "vault").glob("*.db")))
        names = [f"../vault/{vault.name}", f"../vault/{vault.name}-wal"]
        with Fault(lab, "pread64,read", "EIO", names=[name for name in names if (lab.journal_dir / name).exists()]) as fault:
            lab.open_sink("mta1")
            time.sleep(5)
            failed, arrived = fault.count(), len(lab.arrivals())
        print(f"  {failed} reads of the vault failed, {arrived} messages arrived meanwhile")
        problems += until(lambda: not waiting(lab), 60, "all is delivered once the vault is back")
        seconds = time.monotonic() - began
        if not failed:
            print("  the vault was not read at all: it is held in memory")
        return problems + finish(lab, engine, restarts=False) + attempts_problems(Ledger(lab.database), seconds)


def case_vault_gone(args):
    """The vault's key, then its folder, is not there at a new start: nothing of what is held is touched; then both are back."""
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "accept"}) as lab:
        lab.close_sink("mta1")
        lab.start()
        engine = Engine(lab, 300).start()
        problems = until(engine.is_answered, 60, "jobs are taken")
        lab.kill()
        lab.open_sink("mta1")
        for what in (lab.folder / "keys/vault.key", lab.state / "vault"):
            aside = what.with_name(what.name + ".aside")
            what.rename(aside)
            lab.start(wait=False)
            stayed = until(lambda: lab.relay.poll() is not None, 5, "it ends")
            print(f"  without {what.name}: {'it runs' if stayed else f'it ends with {lab.relay.returncode}'}")
            lab.kill()
            if what.exists() and what.is_dir():
                problems.append(f"it made {what.name} anew: an empty vault rejects everybody")
                break
            aside.rename(what)
        ended = [row["state"] for row in Ledger(lab.database).rows.values() if row["state"] != "journaled"]
        if ended:
            problems.append(f"{len(ended)} jobs ended as {set(ended)} while there was no vault")
        return problems + finish(lab, engine)


def case_clock(args):
    """The wall clock is set a day on, and back again, while jobs wait: none expires, none is tried at once."""
    library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
    if library is None:
        raise Skip("libfaketime is missing (Debian: faketime)")
    # Half a day to live: a step that were taken for time passing would end them all.
    with Lab(args.binary, args.seed, "journal", {**JOURNAL, "expires": "12h"}, targets={"mta1": "accept"}) as lab:
        clock = lab.folder / "clock"
        clock.write_text("+0s\n")
        lab.close_sink("mta1")
        lab.start(environment={"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                               "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"})
        engine = Engine(lab, 900)
        engine.allowed = 0
        began, at, problems = time.monotonic(), [], []
        engine.start()
        for allowed, step in ((300, "+0s"), (600, "+1d"), (900, "-1d")):
            clock.write_text(f"{step}\n")
            time.sleep(1)
            engine.allowed = allowed
            problems += until(lambda: len(engine.answers) >= allowed, 60, f"jobs are taken at {step}")
            at.append(newest(lab))
            time.sleep(3)
        steps = [(later - earlier) / 1000 for earlier, later in zip(at, at[1:])]
        print(f"  the ledger's wall clock moved by {', '.join(f'{step / DAY:+.2f} days' for step in steps)}")
        if not (steps[0] > 0.9 * DAY and steps[1] < -1.9 * DAY):
            problems.append("the clock was not stepped: nothing was tried")
        lab.open_sink("mta1")
        problems += until(lambda: not waiting(lab), 30, "all is delivered")
        seconds = time.monotonic() - began
        problems += finish(lab, engine, restarts=False)
        ledger = Ledger(lab.database)
        if ledger.states().keys() != {"relayed"}:
            problems.append(f"the ledger says {dict(ledger.states())}")
        return problems + attempts_problems(ledger, seconds)


def case_too_late(args):
    """The target stays away beyond the jobs' own time: each ends by itself soon after, its campaign is finished, none is sent."""
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "accept"}) as lab:
        lab.close_sink("mta1")
        lab.start()
        engine = Hurried(lab, 3000).start()
        problems = until(engine.is_answered, 60, "jobs are taken")
        lasting = Engine(lab, 100, campaign="c2", prefix="l").start()
        problems += until(lasting.is_answered, 60, "jobs that have time are taken")
        until(lambda: time.time() > engine.until, HURRY_SECONDS, "their time is over")
        problems += until(lambda: campaign(lab, "c1")["finished"], 10, "the campaign of the late jobs is finished")
        print(f"  {time.time() - engine.until:.1f} s after their time: {campaign(lab, 'c1')['counts']}")
        lab.open_sink("mta1")
        problems += until(lambda: not waiting(lab), BREAKER_SECONDS_MAX + 10, "the others are delivered")
        engine.stop()
        lasting.stop()
        problems += lab.stop()
        ledger = Ledger(lab.database)
        states = Counter((row["campaign"], row["state"]) for row in ledger.rows.values())
        if states != {("c1", "expired"): 3000, ("c2", "relayed"): 100} or len(lab.arrivals()) != 100:
            problems.append(f"the ledger says {dict(states)}, {len(lab.arrivals())} messages arrived")
        return problems + ledger.problems() + leaks(lab)


class Hurried(Engine):
    """Jobs that have little time."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.until = int(time.time()) + HURRY_SECONDS

    def expires(self):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.until))

    def job(self, number):
        return {**super().job(number), "expires": self.expires()}

    def message(self, number):
        return f"X-TokenRelay-Expires: {self.expires()}\r\n".encode() + super().message(number)


def campaign(lab, name):
    status, body = lab.get(f"/v1/campaigns/{name}")
    return json.loads(body) if status == 200 else {"finished": False}


def case_people_change(args):
    """People refuse or are past their retention date while their mail is held: exactly they are not mailed."""
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "accept"}) as lab:
        # What a process beside the relay changes is seen when the cache lets go of it.
        lab.cache_ttl = "1s"
        lab.configure()
        lab.close_sink("mta1")
        lab.start()
        engine = Engine(lab, 2000).start()
        problems = until(engine.is_answered, 60, "jobs are taken")
        changed = args.dice.sample(range(len(lab.people)), 60)
        refusing, past = changed[:30], changed[30:]
        lab.change_people(refusing, "consent", "-service -marketing")
        lab.change_people(past, "retention", "2020-01-31")
        time.sleep(2)
        lab.open_sink("mta1")
        problems += until(lambda: not waiting(lab), BREAKER_SECONDS_MAX + 30, "everything held has ended")
        engine.stop()
        problems += lab.stop()
        ledger = Ledger(lab.database)
        due = {person: ("relayed", None) for person in range(len(lab.people))}
        due |= {person: ("suppressed", "no-consent") for person in refusing}
        due |= {person: ("rejected", "expired-token") for person in past}
        found = Counter()
        for row in ledger.rows.values():
            person = int(row["job_id"].split("-")[1]) % len(lab.people)
            found[due[person], (row["state"], row["reason"])] += 1
        for (wanted, ended), count in sorted(found.items(), key=str):
            print(f"  {count} jobs ended {ended}")
            if wanted != ended:
                problems.append(f"{count} jobs ended {ended}, not {wanted}")
        if len({ended for _, ended in found}) < 3:
            problems.append("not every change came to bear: too little was tried")
        mailed = {to for arrival in lab.arrivals() for to in arrival["to"]}
        wrongly = mailed & {lab.people[person]["email"] for person in (*refusing, *past)}
        missing = {lab.people[person]["email"] for person, (state, _) in due.items() if state == "relayed"} - mailed
        problems += [f"{len(wrongly)} people were mailed who must not be"] if wrongly else []
        problems += [f"{len(missing)} people were not mailed who should be"] if missing else []
        return problems + ledger.problems() + leaks(lab)


def newest(lab):
    """When the job that came last was accepted, by the relay's wall clock."""
    rows = Ledger(lab.database).rows.values()
    return max(rows, key=lambda row: row["id"])["accepted"]


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, globals()))
