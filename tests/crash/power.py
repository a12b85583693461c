#!/usr/bin/env python3
"""The power is cut while the relay takes and delivers jobs: of the journal's files only what was synced is sure to be there,
of the rest some, down to single sectors. Nothing that was accepted is lost, nothing arrives twice without a flag, and only
what was armed is in doubt.

    power.py BINARY [--seed S] [CASE...]

A library stands before the C library's calls (power.c) and writes down what the relay writes and syncs. A cut kills the relay
and makes the files what a disk could have of them; the boot id is another one then, and what lay in memory is gone. No device and no
right of root is needed. That files are made, renamed and removed counts as synced.
"""

import random
import shutil
import struct
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

from cases import RECOVERY_SECONDS_MAX, leaks, run_cases, waiting
from engine import Engine
from lab import Lab, until
from ledger import Ledger, compare

JOURNAL = {"disk_free_min": "16MiB", "retry_first": "100ms", "retry_max": "1s", "unknown": "hold"}
PROFILE = "slow=2,tempfail=37"
FSYNC_US = 4000
JOBS, CUTS = 6000, 20
# In seconds behind readiness.
MOMENTS = (0.02, 0.6)
SECTOR = 512
# Of what was not synced: none, all, some writes, some sectors of them.
KEEPS = ("none", "all", "writes", "sectors")
# A row is written behind the answer to a hand-off, within so long on a disk that takes as long as this one, and a machine that
# has other things to do.
ROW_SECONDS_MAX = 0.5
# Jobs in doubt a cut, on an average: what is on the wire (16 sessions with up to 8 messages each) and what is about to be.
DOUBT_MAX = 200
HEAD = struct.Struct("<cQQI")
# Where a relay is stopped by itself: at one of the first syncs of these, behind those of the start.
SYNCED, SYNCS, STOP_SECONDS_MAX = ("flight.log", "journal.db-wal"), (4, 60), 10


class Power:
    """What the relay runs under, and the cut."""

    def __init__(self, lab, dice, loses_syncs=False):
        self.lab, self.dice, self.loses_syncs = lab, dice, loses_syncs
        self.library, self.record = lab.folder / "power.so", lab.folder / "power.log"
        self.boot, self.runtime = lab.folder / "boot_id", lab.folder / "runtime"
        self.kept = Counter()
        source = Path(__file__).with_name("power.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", self.library, "-ldl", "-lpthread"], check=True)
        self.new_boot()

    def new_boot(self):
        self.boot.write_text(f"{uuid.UUID(int=self.dice.getrandbits(128))}\n")
        shutil.rmtree(self.runtime, ignore_errors=True)
        self.runtime.mkdir(mode=0o700)

    def start(self, wait=True, stop=""):
        self.record.write_bytes(b"")
        self.before = {path.stat().st_ino: path.read_bytes() for path in self.files()}
        self.lab.start(wait=wait, environment={
            "LD_PRELOAD": str(self.library), "POWER_DIR": str(self.lab.journal_dir), "POWER_LOG": str(self.record),
            "POWER_BOOT": str(self.boot), "POWER_STOP": stop, "POWER_FSYNC_US": str(FSYNC_US), "RUNTIME_DIRECTORY": str(self.runtime)})

    def files(self):
        return [path for path in self.lab.journal_dir.rglob("*") if path.is_file()] if self.lab.journal_dir.exists() else []

    def cut(self):
        self.lab.kill()
        operations = self.operations()
        for path in self.files():
            inode = path.stat().st_ino
            if inode not in operations:
                continue
            content = self.left(self.before.get(inode, b""), *operations[inode])
            # Into the file that is there: it is the same one after the cut.
            with path.open("r+b") as file:
                file.truncate(0)
                file.write(content)
        self.new_boot()

    def operations(self):
        """By file: all that was done to it, and how much of that was synced for sure."""
        found, begun, at = {}, {}, 0
        log = self.record.read_bytes()
        while at + HEAD.size <= len(log):
            kind, inode, where, length = HEAD.unpack_from(log, at)
            at += HEAD.size
            if at + length > len(log):
                break
            done, synced = found.setdefault(inode, ([], [0]))
            if kind in b"WT":
                done.append((kind, where, log[at:at + length]))
            elif kind == b"B":
                begun[where] = len(done)
            elif not self.loses_syncs:
                synced[0] = max(synced[0], begun[where])
            at += length
        return {inode: (done, synced[0]) for inode, (done, synced) in found.items()}

    def left(self, content, operations, synced):
        content = bytearray(content)
        for operation in operations[:synced]:
            apply(content, *operation)
        keep = self.dice.choice(KEEPS)
        self.kept[keep] += len(operations) > synced
        for kind, where, written in operations[synced:]:
            if keep == "all" or (keep == "writes" and self.dice.random() < 0.5):
                apply(content, kind, where, written)
            if keep == "sectors" and kind == b"W":
                for start, end in sectors(where, len(written)):
                    if self.dice.random() < 0.5:
                        apply(content, kind, start, written[start - where:end - where])
        return content


def apply(content, kind, where, written):
    if kind == b"T":
        content[where:] = bytes(max(0, where - len(content)))
        return
    if where > len(content):
        content.extend(bytes(where - len(content)))
    content[where:where + len(written)] = written


def sectors(where, length):
    start = where
    while start < where + length:
        end = min((start // SECTOR + 1) * SECTOR, where + length)
        yield start, end
        start = end


class Moments:
    """When the power is cut: some time behind readiness."""

    def __init__(self, dice):
        self.dice = dice

    def stop(self):
        return ""

    def wait(self, lab):
        lab.wait_doors()
        time.sleep(self.dice.uniform(*MOMENTS))


class Boundaries(Moments):
    """At the beginning or the end of a sync, the notes of a group being written, or a commit: before anybody is told of it."""

    reached = 0

    def stop(self):
        return f"{self.dice.choice(SYNCED)}:{self.dice.randint(*SYNCS)}:{self.dice.choice('beE')}"

    def wait(self, lab):
        try:
            lab.relay.wait(STOP_SECONDS_MAX)
            self.reached += 1
        except subprocess.TimeoutExpired:
            pass


def cut_and_cut(args, accept, loses_syncs=False, cuts=CUTS, moments=Moments):
    dice = random.Random(args.seed)
    moments = moments(dice)
    with Lab(args.binary, args.seed, accept, JOURNAL, targets={"mta1": PROFILE}) as lab:
        power, engine = Power(lab, dice, loses_syncs), Engine(lab, JOBS)
        engine.allowed = 0
        power.start(wait=False, stop=moments.stop())
        engine.start()
        lacking, judged = [], set()
        for cut in range(cuts):
            # So much that more is taken out for delivery than is on its way.
            engine.allowed = JOBS // 2 + JOBS // 2 * (cut + 1) // (cuts + 1)
            moments.wait(lab)
            answered = dict(engine.answers)
            time.sleep(ROW_SECONDS_MAX)
            power.cut()
            power.start(wait=False, stop=moments.stop() if cut + 1 < cuts else "")
            if accept == "auto":
                lab.wait_doors()
                rows = Ledger(lab.database).rows
                # Of this life only: what an earlier cut took with it stays away.
                lacking += [send for job, (send, state) in answered.items()
                            if state == "relayed" and send not in rows and job not in judged]
                judged = set(engine.answers)
        engine.allowed = JOBS
        lab.wait_doors()
        problems = until(engine.is_answered, RECOVERY_SECONDS_MAX * 3, "every job has an answer")
        engine.stop()
        problems += until(lambda: not waiting(lab), RECOVERY_SECONDS_MAX, "everything held is delivered") + lab.stop()
        ledger = Ledger(lab.database)
        figures, found = compare(engine, lab.arrivals(), ledger, accept)
        print("  " + ", ".join(f"{what} {count}" for what, count in figures.items()))
        print(f"  files with something that was not synced, by what was left of it: {dict(power.kept)}")
        problems += found + ledger.problems() + leaks(lab)
        if lacking:
            problems.append(f"{len(lacking)} jobs relayed {ROW_SECONDS_MAX} s before a cut have no row")
        flagged = {send for send, row in ledger.rows.items() if row["maybe_repeated"]}
        untold = flagged - engine.told_repeated
        print(f"  {len(flagged)} jobs may have come before, by the ledger")
        if untold:
            problems.append(f"{len(untold)} of them had an answer that does not say so ({', '.join(sorted(untold)[:5])})")
        in_doubt = figures["in doubt"] / cuts
        print(f"  {in_doubt:.1f} jobs in doubt a cut, {figures['in doubt and not arrived'] / cuts:.1f} of them never left")
        if isinstance(moments, Boundaries):
            print(f"  {moments.reached} of {cuts} cuts at a sync")
            if moments.reached < cuts // 2:
                problems.append(f"only {moments.reached} of {cuts} cuts came at a sync")
        if accept == "journal" and in_doubt > DOUBT_MAX:
            problems.append(f"{in_doubt:.0f} jobs a cut are in doubt")
        return problems


def case_journal(args):
    """Doors that promise the disk: all is there after any cut, and only what was armed is in doubt."""
    return cut_and_cut(args, "journal")


def case_boundaries(args):
    """The same at the boundaries of single syncs, of the flight log's and the database's: no group is told before it is on the disk."""
    return cut_and_cut(args, "journal", moments=Boundaries)


def case_auto(args):
    """Hand-offs: a repeat of what the cut made the relay forget is flagged."""
    return cut_and_cut(args, "auto")


def case_control(args):
    """The same where no sync does anything: that has to be found."""
    problems = cut_and_cut(args, "journal", loses_syncs=True, cuts=3)
    if any("LOST" in problem or "twice" in problem or "not in the ledger" in problem for problem in problems):
        print(f"  found, as it has to be: {problems[0]}")
        return []
    return [f"no sync did anything and nothing was noticed ({problems})"]


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, globals()))
