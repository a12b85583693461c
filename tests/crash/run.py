#!/usr/bin/env python3
"""Jobs are submitted while the relay is killed with SIGKILL at random moments and started again; at the end every job that got
a positive answer has arrived, and every one that arrived twice is flagged.

    run.py BINARY [--jobs N] [--kills K] [--seed S] [--mode journal|auto|handoff] [--door both|http|smtp] [--unknown hold|resend]
    run.py BINARY --prove        breaks a small run in several ways, each of which has to be found

What is compared: the engine's own record of answers (O_DSYNC), a record that the first MTA writes before it answers, and the
relay's ledger. The first MTA loses connections behind the final dot and refuses for a time, now and then.
"""

import argparse
import json
import random
import sqlite3
import sys
import time
from collections import Counter

from engine import Engine
from lab import Lab, until
from ledger import TAKEN, Ledger, compare

JOBS, KILLS = 20_000, 50
PROFILE = "slow=2,tempfail=37,drop-after-data=499"
GENTLE = "slow=2,tempfail=37"
JOURNAL = {"disk_free_min": "16MiB", "retry_first": "100ms", "retry_max": "1s"}
# Moments of death, in seconds behind readiness: (share, from, to). The first is while everyone submits at once.
MOMENTS = ((0.5, 0.0, 0.25), (0.3, 0.2, 1.0))
START_UP = 0.4  # the rest: so long behind the start of the process, ready or not
ANSWERED_SECONDS_MAX, DRAINED_SECONDS_MAX = 300, 300
BROKEN_WAYS = ("lose", "forget", "double", "state")


def main():
    args = arguments()
    if args.prove:
        return prove(args)
    problems = Run(args).all()
    for problem in problems:
        print(f"  {problem}")
    print(f"seed {args.seed}: {len(problems)} problems")
    return 1 if problems else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--mode", choices=("journal", "auto", "handoff"), default="journal")
    parser.add_argument("--door", choices=("both", "http", "smtp"), default="both")
    parser.add_argument("--unknown", choices=("hold", "resend"), default="hold")
    parser.add_argument("--profile", help="how the first MTA behaves")
    parser.add_argument("--prove", action="store_true")
    return parser.parse_args()


def prove(args):
    """A check that cannot fail proves nothing."""
    args.jobs, args.kills, blind = 1000, 3, []
    ways = BROKEN_WAYS if args.mode != "handoff" else ("forget", "double")
    for way in ways:
        problems = Run(args, way).all()
        print(f"{way}: {problems[0] if problems else 'NOT FOUND'}")
        blind += [] if problems else [way]
    print(f"seed {args.seed}: {len(ways) - len(blind)} of {len(ways)} ways to break it were found")
    return 1 if blind else 0


class Run:
    def __init__(self, args, broken=None):
        self.args, self.broken = args, broken
        self.dice = random.Random(args.seed)
        self.holds = args.mode != "handoff"

    def all(self):
        args, began = self.args, time.monotonic()
        print(f"{args.jobs} jobs, {args.kills} kills, {args.mode}, {args.door}, unknown = {args.unknown}, seed {args.seed}", flush=True)
        profile = args.profile or (PROFILE if self.holds else GENTLE)
        with Lab(args.binary, args.seed, args.mode, {**JOURNAL, "unknown": args.unknown}, targets={"mta1": profile}) as lab:
            doors = ("http", "http", "smtp") if args.door == "both" else (args.door,)
            self.lab, self.engine = lab, Engine(lab, args.jobs, doors)
            self.killed_while_busy = 0
            lab.start()
            self.engine.start()
            try:
                self.kill_now_and_then()
                killed = time.monotonic()
                problems = until(self.engine.is_answered, ANSWERED_SECONDS_MAX, "every job has a final answer")
            finally:
                self.engine.stop()
            problems += self.drain()
            print(f"  {lab.starts} starts, {self.killed_while_busy} kills while jobs were under way; {self.engine.broken} connections "
                  f"broken, {self.engine.deferred} answers 'later'; {killed - began:.0f} s to the last kill, "
                  f"{time.monotonic() - began:.0f} s in all")
            return problems + self.judge()

    # ---- The relay dies ----------------------------------------------------------------------------------------------

    def kill_now_and_then(self):
        for kill in range(self.args.kills):
            loses = kill == self.args.kills // 2 and self.broken == "lose"
            if loses:
                # A quick relay would have nothing left to lose.
                self.lab.close_sink("mta1")
            # Each life gets its share of new jobs, as well as what the last one left.
            self.engine.allowed = self.args.jobs * (kill + 1) // (self.args.kills + 1)
            self.live()
            self.killed_while_busy += self.is_busy()
            if loses:
                until(self.one_to_lose, 30, "an accepted job waits")
            self.lab.kill()
            if loses:
                self.lose_a_job()
                self.lab.open_sink("mta1")
            self.lab.start(wait=False)
        self.engine.allowed = self.args.jobs
        self.lab.wait_doors()

    def live(self):
        moment = self.dice.random()
        for share, at_least, at_most in MOMENTS:
            if moment < share:
                self.lab.wait_doors()
                time.sleep(self.dice.uniform(at_least, at_most))
                return
            moment -= share
        time.sleep(self.dice.uniform(0, START_UP))

    def is_busy(self):
        return any(self.engine.submitted[number] and number not in self.engine.answers for number in range(self.engine.allowed))

    # ---- What is left is delivered -----------------------------------------------------------------------------------

    def drain(self):
        if not self.holds:
            return self.lab.stop()
        problems = until(self.is_drained, DRAINED_SECONDS_MAX, "everything held is delivered or in doubt")
        problems += self.told_by_the_relay()
        if self.args.unknown == "hold" and not problems:
            problems += self.a_person_decides()
        return problems + self.lab.stop()

    def is_drained(self):
        db = sqlite3.connect(f"file:{self.lab.database}?mode=ro", uri=True, timeout=20)
        try:
            waiting = db.execute("SELECT (SELECT count(*) FROM due) + (SELECT count(*) FROM flight)").fetchone()[0]
            return waiting == 0 and db.execute("SELECT count(*) FROM job WHERE state = 'journaled'").fetchone()[0] == 0
        except sqlite3.OperationalError:
            return False
        finally:
            db.close()

    def told_by_the_relay(self):
        """The ledger as the doors and the command line tell it, for some jobs."""
        ledger, problems = Ledger(self.lab.database), []
        for send in self.dice.sample(sorted(ledger.rows), min(30, len(ledger.rows))):
            row = ledger.rows[send]
            # Over SMTP one job id may stand for several recipients: their number is of the id and the token.
            is_over_http = self.engine.doors[int(row["job_id"].split("-")[1]) % len(self.engine.doors)] == "http"
            for name in (send, row["job_id"]) if is_over_http else (send,):
                status, body = self.lab.get(f"/v1/jobs/{name}")
                if status != 200 or json.loads(body).get("state") != row["state"]:
                    problems.append(f"GET /v1/jobs/{name} is {status} {body[:200]}, the ledger's row says {row['state']}")
        listed = [json.loads(line) for line in self.lab.call("jobs", "export", "--state", "unknown", "-c", self.lab.config).splitlines()]
        if {job["send"] for job in listed} != {send for send, row in ledger.rows.items() if row["state"] == "unknown"}:
            problems.append(f"jobs export --state unknown gives {len(listed)} jobs, the ledger has {ledger.states()['unknown']}")
        return problems[:3]

    def a_person_decides(self):
        """What is in doubt is held until somebody says so; then it is sent again, and flagged."""
        before = Ledger(self.lab.database)
        # What a hand-off left in doubt was never stored: there is nothing to send again, and the command says so.
        doubtful = {send for send, row in before.rows.items() if row["state"] == "unknown" and send in before.payloads}
        resent = [send for send, row in before.rows.items() if row["is_resent"]]
        problems = [f"{len(resent)} jobs were sent again though unknown = hold"] if resent else []
        if not doubtful:
            return problems + ([] if self.args.jobs < 2000 else ["nothing came to be in doubt: the first MTA should have seen to that"])
        # The first MTA behaves from here on, so that each ends.
        self.lab.close_sink("mta1")
        self.lab.profiles["mta1"] = "accept"
        self.lab.open_sink("mta1")
        self.lab.call("jobs", "retry", "--state", "unknown", "--yes", "-c", self.lab.config,
                      codes=(0, 1) if self.args.mode == "auto" else (0,))
        problems += until(lambda: self.is_drained() and not Ledger(self.lab.database).payloads, 60, "what was retried is delivered")
        after = Ledger(self.lab.database)
        unflagged = [send for send in doubtful if not after.rows[send]["is_resent"]]
        print(f"  {len(doubtful)} in doubt were held, then sent again by hand")
        return problems + ([f"{len(unflagged)} jobs sent again by hand are not flagged"] if unflagged else [])

    # ---- The records are compared ------------------------------------------------------------------------------------

    def judge(self):
        arrivals = self.lab.arrivals()
        if self.broken == "forget":
            count = Counter(arrival["send"] for arrival in arrivals if arrival["code"] in TAKEN)
            arrivals.remove(next(arrival for arrival in arrivals if arrival["code"] == 250 and count[arrival["send"]] == 1))
        if self.broken == "double":
            again = next(arrival for arrival in arrivals if arrival["code"] == 250 and self.is_unflagged(arrival["send"]))
            arrivals.append(again)
        if self.broken == "state":
            self.sql("UPDATE job SET state = 'journaled' WHERE id = (SELECT max(id) FROM job)")
        ledger = Ledger(self.lab.database) if self.holds else None
        figures, problems = compare(self.engine, arrivals, ledger, self.args.mode)
        print("  " + ", ".join(f"{what} {count}" for what, count in figures.items()))
        problems += ledger.problems() if ledger else []
        if self.args.kills and not self.broken and not self.killed_while_busy:
            problems.append("the relay was never killed while it had work: nothing was tried")
        return problems + [f"personal value: {leak}" for leak in self.lab.leaks()[:5]]

    def is_unflagged(self, send):
        if self.holds:
            rows = Ledger(self.lab.database).rows
            return send in rows and not rows[send]["is_resent"] and self.once(rows[send]["job_id"])
        return any(answer["send"] == send and self.engine.submitted[job] == 1 for job, answer in self.engine.accepted().items())

    def once(self, job_id):
        return self.engine.submitted[int(job_id.split("-")[1])] == 1

    # ---- Ways to break it --------------------------------------------------------------------------------------------

    def one_to_lose(self):
        accepted = {answer["send"] for answer in self.engine.accepted().values()}
        ledger = Ledger(self.lab.database)
        return next((send for send in ledger.due + ledger.flight if send in accepted), None)

    def lose_a_job(self):
        """An accepted job that is still to be delivered vanishes from the database."""
        lost, ledger = self.one_to_lose(), Ledger(self.lab.database)
        for table, column in (("due", "job"), ("flight", "job"), ("payload", "job"), ("event", "job"), ("attempt", "job"), ("job", "id")):
            self.sql(f"DELETE FROM {table} WHERE {column} = ?", ledger.rows[lost]["id"])

    def sql(self, statement, *values):
        db = sqlite3.connect(self.lab.database, timeout=20)
        with db:
            db.execute(statement, values)
        db.close()


if __name__ == "__main__":
    sys.exit(main())
