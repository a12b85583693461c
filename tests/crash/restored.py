#!/usr/bin/env python3
"""Files of the state folder are set back in place to what they held in the middle of a run: the same files, an earlier time.
What was delivered since is not sent again until a person says so, and is flagged then. So is what is repeated when the database is gone.

    restored.py BINARY [--seed S] [CASE...]

The mails at the first MTA are counted, and the relay's ledger is held against them.
"""

import os
import shutil
import sqlite3
import sys
import time

from cases import leaks, run_cases, waiting
from engine import Engine
from lab import Lab, until
from ledger import Ledger, compare

JOURNAL = {"disk_free_min": "16MiB", "retry_first": "100ms", "retry_max": "1s", "unknown": "hold"}
JOBS, BEFORE = 600, 200
# A slow target, so that there is a middle.
PROFILE, CONNECTIONS = "slow=10", 4
QUIET_SECONDS = 2
DATABASE = ("journal.db", "journal.db-wal", "journal.db-shm")


class Story:
    """A run of which a copy was made while it delivered; it has ended since, in peace or not."""

    def __init__(self, lab, is_killed):
        self.lab, self.backup = lab, lab.folder / "backup"
        lab.close_sink("mta1")
        lab.start()
        self.engine = Engine(lab, JOBS).start()
        self.problems = until(self.engine.is_answered, 60, "the jobs are answered")
        self.engine.stop()
        lab.open_sink("mta1")
        self.problems += until(lambda: len(lab.arrivals()) >= BEFORE, 60, "some jobs arrive")
        # Beside the running relay, as a backup does.
        shutil.copytree(lab.journal_dir, self.backup)
        self.problems += until(lambda: len(lab.arrivals()) >= JOBS and not waiting(lab), 60, "the rest arrives")
        if is_killed:
            lab.kill()
        else:
            self.problems += lab.stop()

    def put_back(self, names=None):
        """As `cat backup/file > file` does for each, or `rsync --inplace --times`."""
        for path in self.backup.iterdir():
            if names is None or path.name in names:
                to = self.lab.journal_dir / path.name
                to.write_bytes(path.read_bytes())
                found = path.stat()
                os.utime(to, ns=(found.st_atime_ns, found.st_mtime_ns))

    def starts(self, says):
        """Nothing of what was delivered goes out again by itself; it is said everywhere; a person may let it go."""
        lab, problems = self.lab, self.problems
        checked = lab.call("check", "--offline", "-c", lab.config, codes=(0, 1))
        (lab.folder / "serve.log").write_text("")
        lab.start()
        time.sleep(QUIET_SECONDS)
        again, (code, ready) = len(lab.arrivals()) - JOBS, lab.get("/readyz")
        parked = count(lab, "parked")
        print(f"  {again} sent again by themselves, {parked} parked, /readyz {code}")
        problems += [f"{again} jobs were sent again"] if again else []
        told = [("check", checked), ("the log", lab.log())] + ([("/readyz", ready)] if parked else [])
        problems += [f"{what} does not say '{says}': {said[-300:]}" for what, said in told if says not in said]
        if parked:
            lab.call("jobs", "release", "--all", "--yes", "-c", lab.config)
        problems += until(lambda: not waiting(lab), 60, "what was released is sent") + lab.stop()
        figures, found = compare(self.engine, lab.arrivals(), Ledger(lab.database), "journal")
        print(f"  {figures['doubled']} arrived twice, {figures['of them flagged']} of them flagged; {figures['in doubt']} in doubt")
        return problems + found + leaks(lab)


def count(lab, table):
    db = sqlite3.connect(f"file:{lab.database}?mode=ro", uri=True, timeout=20)
    try:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        db.close()


def lab_of(args):
    return Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": PROFILE}, connections=CONNECTIONS)


def whole(args, is_killed):
    with lab_of(args) as lab:
        story = Story(lab, is_killed)
        story.put_back()
        return story.starts("was set back to an earlier time")


def case_all_stopped(args):
    """Every file, after a stop in peace: what was said outside of the folder knows better."""
    return whole(args, is_killed=False)


def case_all_killed(args):
    """Every file, after a kill."""
    return whole(args, is_killed=True)


def case_twice(args):
    """Every file, and once more after the run that came next."""
    with lab_of(args) as lab:
        story = Story(lab, is_killed=False)
        for _ in range(2):
            story.put_back()
            lab.start()
            time.sleep(QUIET_SECONDS)
            story.problems += lab.stop()
        story.put_back()
        return story.starts("was set back to an earlier time")


def case_database(args):
    """The database with its log of commits, not the flight log."""
    with lab_of(args) as lab:
        story = Story(lab, is_killed=True)
        story.put_back(DATABASE)
        return story.starts("was set back to an earlier time")


def case_sqlite(args):
    """The database, by sqlite's own backup interface (`.restore`)."""
    with lab_of(args) as lab:
        story = Story(lab, is_killed=False)
        source, target = sqlite3.connect(story.backup / "journal.db"), sqlite3.connect(lab.database)
        source.backup(target)
        source.close()
        target.close()
        return story.starts("was set back to an earlier time")


def case_under_the_relay(args):
    """The same under the running relay: it gives nothing out any more and says so; then it is started anew."""
    with lab_of(args) as lab:
        story = Story(lab, is_killed=False)
        lab.start()
        source, target = sqlite3.connect(story.backup / "journal.db"), sqlite3.connect(lab.database, timeout=20)
        source.backup(target)
        source.close()
        target.close()
        story.problems += until(lambda: "set back to an earlier time while the relay ran" in lab.log(), 20, "the relay notices")
        story.problems += [] if lab.get("/readyz")[0] == 503 else ["/readyz is not 503"]
        lab.kill()
        return story.starts("was set back to an earlier time")


def case_flight_log(args):
    """The flight log alone."""
    with lab_of(args) as lab:
        story = Story(lab, is_killed=True)
        story.put_back(("flight.log",))
        return story.starts("the flight log in the state folder was set back")


def case_stamp(args):
    """A copy whose own word of its last run is damaged is no original."""
    with lab_of(args) as lab:
        story = Story(lab, is_killed=False)
        story.put_back()
        with sqlite3.connect(lab.database) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'run'").fetchone()[0]
        db.close()
        with lab.database.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
        return story.starts("it cannot be read any more which run")


def case_removed(args):
    """The database taken away: nobody knows what was delivered, so whatever its engine repeats is flagged, in each answer too."""
    problems = []
    for is_killed in (False, True):
        with lab_of(args) as lab:
            story = Story(lab, is_killed)
            for name in DATABASE:
                (lab.journal_dir / name).unlink(missing_ok=True)
            (lab.folder / "serve.log").write_text("")
            lab.start()
            again = Engine(lab, JOBS).start()
            problems += story.problems + until(again.is_answered, 60, "the jobs are answered again")
            again.stop()
            problems += until(lambda: not waiting(lab), 60, "what was repeated is sent") + lab.stop()
            if "though there was a journal here before, which is gone" not in lab.log():
                problems.append(f"the log does not say what is gone: {lab.log()[-300:]}")
            ledger = Ledger(lab.database)
            untold = set(ledger.rows) - again.told_repeated
            if untold or len(ledger.rows) != JOBS:
                problems.append(f"{len(untold)} of {len(ledger.rows)} repeated jobs had an answer that does not say so")
            figures, found = compare(again, lab.arrivals(), ledger, "journal")
            print(f"  {figures['doubled']} arrived twice, {figures['of them flagged']} of them flagged")
            problems += found + ledger.problems() + leaks(lab)
    return problems


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, globals()))
