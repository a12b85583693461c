#!/usr/bin/env python3
"""Pages of the journal's database are written over while the relay is down, as a sick disk does it. The start saves what can be
read: of the jobs that were held, each whose rows are whole arrives, once; each of the others is named, or unknown to the ledger;
and the start says how many there are of both.

    torn.py BINARY [--seed S] [CASE...]

What can be read is found out beforehand by Python's own SQLite, row by row.
"""

import random
import re
import sqlite3
import struct
import sys

from cases import leaks, run_cases, waiting
from engine import Engine
from lab import Lab, until
from ledger import Ledger, number

JOURNAL = {"disk_free_min": "16MiB", "retry_first": "100ms", "retry_max": "1s", "unknown": "hold"}
JOBS = 400
PAGE = 4096
# Pages of tables, and of those that are their own index.
LEAVES, INTERIORS = (0x0D, 0x0A), (0x05, 0x02)
QUEUE = ("due", "event", "attempt", "tally")
SAID = re.compile(r"(\d+) held jobs were saved, (\d+) lost")


def leaves(octets, root):
    """The pages of a table that hold rows (SQLite's database file format, section 1.6)."""
    page, header = octets[(root - 1) * PAGE:root * PAGE], 100 if root == 1 else 0
    if page[header] in LEAVES:
        return [root]
    if page[header] not in INTERIORS:
        return []
    cells = struct.unpack_from(">H", page, header + 3)[0]
    pointers = struct.unpack_from(f">{cells}H", page, header + 12)
    children = [struct.unpack_from(">I", page, pointer)[0] for pointer in pointers]
    children.append(struct.unpack_from(">I", page, header + 8)[0])
    return [leaf for child in children for leaf in leaves(octets, child)]


def roots_of(lab):
    """Everything is in the one file then."""
    with sqlite3.connect(lab.database) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table'"))
    db.close()
    return roots


def tear(lab, roots, tables, dice):
    """Writes over some pages of each table: one whole, of one the second half, of one a sector."""
    octets = lab.database.read_bytes()
    with lab.database.open("r+b") as file:
        for table in tables:
            pages = leaves(octets, roots[table])
            for page, (at, length) in zip(dice.sample(pages, min(3, len(pages))), ((0, PAGE), (PAGE // 2, PAGE // 2), (512, 512))):
                file.seek((page - 1) * PAGE + at)
                file.write(dice.randbytes(length))


def readable(lab):
    """All that can be read of each job, by its send number."""
    db, found = sqlite3.connect(f"file:{lab.database}?mode=ro&immutable=1", uri=True), {}
    # As the relay does: a page of which the parts do not fit together is none.
    db.execute("PRAGMA cell_size_check = ON")
    wanted = "SELECT job.*, payload.* FROM job JOIN payload ON payload.job = job.id WHERE job.id = ?"
    try:
        for job in range(1, JOBS + 1):
            try:
                row = db.execute(wanted, [job]).fetchone()
                hash = row and row[-3]
                content = db.execute("SELECT octets FROM content WHERE hash = ?", [hash]).fetchone() if hash else None
            except sqlite3.DatabaseError:
                continue
            if row and isinstance(row[1], bytes) and len(row[1]) == 16 and (not hash or content):
                found[number(row[1])] = (row, content)
    finally:
        db.close()
    return found


def start_until_saved(lab):
    """A page is found damaged when it is read: the relay stops giving jobs out, says so, and the next start saves."""
    (lab.folder / "serve.log").write_text("")
    lab.start()
    found = lambda: SAID.search(lab.log()) or lab.get("/readyz")[0] == 503
    problems = until(found, 30, "the damage is found")
    if SAID.search(lab.log()):
        return problems
    status, ready = lab.get("/readyz")
    if "restart the relay" not in ready:
        problems.append(f"/readyz ({status}) does not say what to do: {ready[:300]}")
    # It ends as after any breakdown: not in order.
    lab.kill()
    lab.start()
    return problems


def torn(args, tables):
    dice = random.Random(args.seed)
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "accept"}) as lab:
        lab.close_sink("mta1")
        lab.start()
        engine = Engine(lab, JOBS).start()
        problems = until(engine.is_answered, 60, "the jobs are answered")
        engine.stop()
        lab.kill()
        accepted = {answer["send"] for answer in engine.accepted().values()}
        roots = roots_of(lab)
        before = readable(lab)
        tear(lab, roots, tables, dice)
        whole = {send for send, rows in readable(lab).items() if before.get(send) == rows}
        lab.open_sink("mta1")
        problems += start_until_saved(lab)
        # Lines of the log are written beside the start: its doors may be open before.
        problems += until(lambda: SAID.search(lab.log()), 30, "the start says what was saved")
        said = SAID.search(lab.log())
        saved, lost = map(int, said.groups()) if said else (None, None)
        print(f"  {', '.join(tables)}: {len(whole)} of {len(accepted)} can be read; the start says {saved} saved, {lost} lost")
        problems += until(lambda: not waiting(lab), 60, "what was saved is sent")
        ledger, arrivals = Ledger(lab.database), [arrival["send"] for arrival in lab.arrivals()]
        named = {send for send, row in ledger.rows.items() if (row["state"], row["reason"]) == ("rejected", "bad-job")}
        unnamed = accepted - set(ledger.rows)
        problems += judge(accepted, whole, arrivals, named, unnamed)
        if tables != QUEUE and not accepted - whole:
            problems.append("everything could be read: nothing was tried")
        problems += repeated(lab, engine, unnamed) + lab.stop()
        return problems + leaks(lab)


def judge(accepted, whole, arrivals, named, unnamed):
    """Nothing that can be read is lost, nothing arrives twice, and of the rest each is named, or the ledger has lost it."""
    arrived, problems = set(arrivals), []
    for what, wrong in (
        ("could be read, and did not arrive", whole - arrived),
        ("arrived twice", {send for send in arrived if arrivals.count(send) > 1}),
        ("arrived though they are called damaged", named & arrived),
        ("are neither sent, nor named, nor gone from the ledger", accepted - arrived - named - unnamed),
    ):
        if wrong:
            problems.append(f"{len(wrong)} {what}")
    print(f"  {len(arrived)} arrived, {len(named)} are named as damaged, {len(unnamed)} are gone from the ledger")
    return problems


def repeated(lab, engine, unnamed):
    """Their engine brings those again that the ledger has lost: each is carried, and flagged, as it may have been."""
    again = Engine(lab, JOBS).start()
    problems = until(again.is_answered, 60, "the jobs are answered again")
    again.stop()
    problems += until(lambda: not waiting(lab), 60, "what was repeated is sent")
    ledger = Ledger(lab.database)
    unflagged = [send for send in unnamed if not ledger.rows.get(send, {}).get("maybe_repeated")]
    if unflagged:
        problems.append(f"{len(unflagged)} of {len(unnamed)} repeated jobs are not flagged")
    sends = [arrival["send"] for arrival in lab.arrivals()]
    doubled = {send for send in sends if sends.count(send) > 1} - unnamed
    if doubled:
        problems.append(f"{len(doubled)} arrived again")
    return problems


def case_payload(args):
    """What jobs are made from."""
    return torn(args, ("payload",))


def case_ledger(args):
    """The rows of jobs: which those were nobody knows."""
    return torn(args, ("job",))


def case_queue(args):
    """What waits, and for whom: all of it is in the other tables too."""
    return torn(args, QUEUE)


def case_all(args):
    """A little of everything."""
    return torn(args, ("job", "payload", "content", "event"))


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, globals()))
