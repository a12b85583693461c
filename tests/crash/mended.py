#!/usr/bin/env python3
"""Jobs are refused for what is wrong with the person's data; that is mended, and a person has them judged anew. Each arrives once,
and the totals say so, whenever the relay is killed in between.

    mended.py BINARY [--seed S] [CASE...]
"""

import json
import subprocess
import sys
import threading
import time

from cases import leaks, run_cases, waiting
from engine import Engine
from lab import Lab, until
from ledger import Ledger

JOURNAL = {"disk_free_min": "16MiB", "retry_first": "100ms", "retry_max": "1s", "unknown": "hold"}
JOBS, NAMELESS = 400, range(0, 60)
# The welcome template, and the messages of the SMTP door, want the first name; another field is there for everybody.
FIELD = "first_name"
RETRY = ("jobs", "retry", "--reason", "missing-field", "--campaign", "c1")
KILLS = 6


def nameless(lab):
    """Their first names, which nobody has from here on."""
    names = {number: lab.people[number][FIELD] for number in NAMELESS}
    for number in NAMELESS:
        lab.people[number][FIELD] = ""
    return names


class People(Lab):
    """Some have no first name yet."""

    def import_people(self):
        self.names = nameless(self)
        super().import_people()

    def mend(self):
        file = self.folder / "mend.csv"
        rows = [f"{self.people[number]['email']},{name}\n" for number, name in self.names.items()]
        file.write_text(f"email,{FIELD}\n" + "".join(rows))
        self.call("vault", "import", file, "-c", self.config)
        file.unlink()
        for number, name in self.names.items():
            self.people[number][FIELD] = name

    def retry(self, *words, codes=(0,)):
        return self.call(*RETRY, "--yes", "--json", *words, "-c", self.config, codes=codes)


def refused(lab):
    rows = Ledger(lab.database).rows.values() if lab.database.exists() else ()
    return [row for row in rows if row["reason"] == "missing-field" and row["state"] == "rejected"]


def is_over(lab, engine, count):
    """Everybody has an outcome."""
    return len(Ledger(lab.database).rows) == count and engine.is_answered() and not waiting(lab)


def submit(lab):
    engine = Engine(lab, JOBS).start()
    problems = until(lambda: is_over(lab, engine, JOBS), 60, "every job has an outcome")
    engine.stop()
    return problems


def totals(lab):
    """Every job arrived once and is relayed, unless a kill left it in doubt; no refusal is in the totals."""
    ledger, found = Ledger(lab.database), []
    sends = [arrival["send"] for arrival in lab.arrivals() if arrival["code"] == 250]
    flagged = {send for send, row in ledger.rows.items() if row["is_resent"] or row["state"] == "unknown"}
    lacking = set(ledger.rows) - set(sends) - flagged
    if lacking or len(ledger.rows) != JOBS:
        found.append(f"{len(lacking)} of {len(ledger.rows)} did not arrive")
    doubled = {send for send in sends if sends.count(send) > 1} - flagged
    if doubled:
        found.append(f"{len(doubled)} arrived more than once")
    expected = {"relayed": JOBS - len(flagged), **({"unknown": len(flagged)} if flagged else {})}
    if {state: jobs for state, jobs in ledger.tally.items() if jobs} != expected:
        found.append(f"the totals are {dict(ledger.tally)}")
    return found + ledger.problems() + leaks(lab)


def case_mended(args):
    """Refused, mended by an import, judged anew: all arrive, in both modes that keep jobs."""
    problems = []
    for accept in ("auto", "journal"):
        with People(args.binary, args.seed, accept, JOURNAL) as lab:
            lab.start()
            problems += submit(lab)
            before = len(refused(lab))
            if not before:
                problems.append("nothing was refused")
            lab.mend()
            shown = subprocess.run([lab.binary, *RETRY, "-c", lab.config], capture_output=True, text=True)
            if f"{before} jobs would be attempted now" not in shown.stderr:
                problems.append(f"of {before} jobs it is said: {shown.stderr}")
            done = json.loads(lab.retry())
            if done != {"judged-anew": before}:
                problems.append(f"{before} were refused, and retry said {done}")
            problems += until(lambda: not waiting(lab) and not refused(lab), 60, "all are judged anew")
            status, metrics = lab.get("/metrics")
            if "tokenrelay_journal_kept_refused_jobs 0" not in metrics:
                problems.append(f"the metrics page ({status}) does not say that nothing is kept")
            print(f"  {accept}: {before} refused")
            problems += lab.stop() + totals(lab)
    return problems


def case_kills(args):
    """The same while the relay is killed: behind the refusals, behind the retry, and within what follows."""
    with People(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "slow=5"}, connections=4) as lab:
        lab.start()
        engine, problems = Engine(lab, JOBS).start(), []
        for _ in range(KILLS):
            time.sleep(args.dice.uniform(0.05, 0.4))
            lab.kill()
            lab.start()
        problems += until(lambda: is_over(lab, engine, JOBS), 120, "every job has an outcome")
        engine.stop()
        before = len(refused(lab))
        lab.kill()
        lab.mend()
        # Half of them while no relay runs, the rest beside one that is killed again and again.
        lab.retry("--since", "2020-01-01")
        for _ in range(KILLS):
            lab.start()
            retrying = threading.Thread(target=lab.retry, kwargs={"codes": (0, 1)})
            retrying.start()
            time.sleep(args.dice.uniform(0.02, 0.3))
            lab.kill()
            retrying.join()
        lab.start()
        lab.retry(codes=(0, 1))
        problems += until(lambda: not waiting(lab) and not refused(lab), 60, "all are judged anew")
        print(f"  {before} refused")
        if not before:
            problems.append("nothing was refused")
        return problems + lab.stop() + totals(lab)


def case_gone(args):
    """What is not kept any more, for want of time or room, is said with its count and what to do; submitted again, it arrives."""
    problems = []
    for bounds in ({"keep_refused": "0s"}, {"keep_refused_bytes_max": "20KiB"}):
        with People(args.binary, args.seed, "journal", {**JOURNAL, **bounds}) as lab:
            lab.start()
            problems += submit(lab)
            before = len(refused(lab))
            lab.mend()
            done = subprocess.run([lab.binary, *RETRY, "--yes", "-c", lab.config], capture_output=True, text=True)
            problems += until(lambda: not waiting(lab), 60, "what was kept is judged anew")
            lost = len(refused(lab))
            told = " ".join(done.stderr.split())
            is_said = f"left: {lost} refused jobs: " in told and "under the same job_id" in told
            if done.returncode != 1 or not is_said or not 0 < lost <= before:
                problems.append(f"{lost} of {before} are not kept, and retry ({done.returncode}) said {done.stdout}{done.stderr}")
            engine = Engine(lab, JOBS).start()
            problems += until(lambda: is_over(lab, engine, JOBS) and not refused(lab), 60, "submitted again they are relayed")
            engine.stop()
            print(f"  {bounds}: {lost} of {before} were not kept")
            problems += lab.stop() + totals(lab)
    return problems


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, globals()))
