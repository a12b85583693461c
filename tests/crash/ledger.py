"""The conservation rule, held against three records that know nothing of each other: the engine's of the answers it got, the
first MTAs' of what arrived, and the relay's ledger.
"""

import base64
import sqlite3
from collections import Counter, defaultdict

FINAL = {"relayed", "rejected", "suppressed", "expired", "cancelled", "unknown"}
# What a first MTA may have taken: it said so, or it had the content whole and said nothing.
TAKEN = (250, 0)
SHOWN_MAX = 5


def number(bits):
    return "s_" + base64.b32encode(bits).decode().rstrip("=").lower()


class Ledger:
    """The journal's tables as they lie on disk."""

    def __init__(self, database):
        db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20)
        db.row_factory = sqlite3.Row
        try:
            self.broken = [row[0] for row in db.execute("PRAGMA integrity_check")]
            # One reading of all tables, whatever is written meanwhile.
            db.execute("BEGIN")
            self.rows = {number(row["send"]): dict(row) for row in db.execute("SELECT * FROM job")}
            self.count = db.execute("SELECT count(*) FROM job").fetchone()[0]
            by_id = {row["id"]: send for send, row in self.rows.items()}
            self.attempts, self.events = defaultdict(list), defaultdict(list)
            for row in db.execute("SELECT job, state FROM attempt ORDER BY job, number"):
                self.attempts[by_id.get(row["job"])].append(row["state"])
            # An end that a later judgement may follow: the relay refused it, and no target saw it.
            self.refusals = defaultdict(list)
            for row in db.execute("SELECT job, state, reason, code FROM event ORDER BY seq"):
                send = by_id.get(row["job"])
                self.events[send].append(row["state"])
                self.refusals[send].append(row["state"] in ("rejected", "suppressed") and row["code"] is None
                                           and row["reason"] not in ("target-rejected", "duplicate"))
            self.payloads = {by_id.get(row[0]) for row in db.execute("SELECT job FROM payload")}
            self.due = [by_id.get(row[0]) for row in db.execute("SELECT job FROM due")]
            self.flight = [by_id.get(row[0]) for row in db.execute("SELECT job FROM flight")]
            self.tally = Counter()
            for row in db.execute("SELECT state, jobs FROM tally"):
                self.tally[row["state"]] += row["jobs"]
            self.held = dict(db.execute("SELECT * FROM journal").fetchone())
        finally:
            db.close()

    def states(self):
        return Counter(row["state"] for row in self.rows.values())

    def problems(self):
        """What does not add up in the ledger by itself, once everything is drained."""
        found = Found()
        found.note("the database is damaged", [] if self.broken == ["ok"] else self.broken)
        found.note("rows in 'due' of a drained journal", self.due)
        found.note("rows in 'flight' of a drained journal", self.flight)
        found.note("no final state", [send for send, row in self.rows.items() if row["state"] not in FINAL])
        found.note("events that end in another state", [send for send, row in self.rows.items()
                                                        if self.events[send][-1:] != [row["state"]]])
        found.note("more than one final state", [send for send in self.events
                                                 if ends(self.events[send], self.refusals[send]) > 1])
        unknown = {send for send, row in self.rows.items() if row["state"] == "unknown"}
        found.note("held though nothing is to be done", self.payloads - unknown)
        found.note("rows of no job", [None] if None in self.attempts or None in self.events else [])
        if self.tally != self.states():
            found.note(f"the tally says {dict(self.tally)}, the rows {dict(self.states())}", ["tally"])
        if self.held["held_jobs"] != len(self.payloads):
            found.note(f"held_jobs is {self.held['held_jobs']}, there are {len(self.payloads)}", ["held_jobs"])
        if not self.payloads and self.held["held_bytes"]:
            found.note(f"held_bytes is {self.held['held_bytes']} of no job", ["held_bytes"])
        if self.held["quarantined"]:
            found.note(f"{self.held['quarantined']} records were found corrupt", ["quarantined"])
        return found.problems


def ends(states, refusals):
    """How often a job came to an end. In doubt is an end only when nothing follows: a person or the rule may send it again. A
    refusal likewise, as what was wrong may be mended."""
    return sum(1 for at, state in enumerate(states)
               if state in FINAL and not ((state == "unknown" or refusals[at]) and at + 1 < len(states)))


class Found:
    def __init__(self):
        self.problems = []

    def note(self, what, cases):
        cases = list(cases)
        if cases:
            some = ", ".join(map(str, cases[:SHOWN_MAX]))
            self.problems.append(f"{len(cases)}: {what} ({some}{', ...' if len(cases) > SHOWN_MAX else ''})")


def compare(engine, arrivals, ledger, accept):
    """Nothing accepted is lost, nothing is doubled in silence. Gives figures and problems."""
    found, accepted = Found(), {answer["send"]: (job, answer["state"]) for job, answer in engine.accepted().items()}
    taken = defaultdict(list)
    for arrival in arrivals:
        # Content behind refused recipients (RFC 3030: BDAT may follow at once) is for nobody, answered or not.
        if arrival["code"] in TAKEN and arrival["to"]:
            taken[arrival["send"]].append(arrival)
    taken = dict(taken)
    rows = ledger.rows if ledger else {}
    in_doubt = {send for send, row in rows.items() if row["state"] == "unknown"}
    flagged = {send for send, row in rows.items() if row["is_resent"] or row["maybe_repeated"] or row["state"] == "unknown"}
    if accept == "handoff":
        in_doubt |= {send for send, (_, state) in accepted.items() if state == "unknown"}
    found.note("accepted and LOST", [send for send in accepted if send not in taken and send not in in_doubt])
    found.note("the ledger says relayed, and nothing arrived", [send for send, row in rows.items()
                                                                if row["state"] == "relayed" and send not in taken])
    # What a door that stores nothing had under way when the relay died, the engine had to submit again: the same
    # Message-ID is what tells the two apart from others. Where there is a ledger it knows, or says that it may not.
    again = {send for send, (job, _) in accepted.items() if engine.submitted[job] > 1}
    repeated = again if accept == "handoff" else set()
    doubled = [send for send, messages in taken.items() if len(messages) > 1]
    found.note("arrived twice, and the ledger says nothing of it", [send for send in doubled if send not in flagged | repeated])
    found.note("arrived for somebody else", [send for send, (job, _) in accepted.items()
                                             if any(message["to"] != [engine.person(job)["email"]] for message in taken.get(send, ()))])
    found.note("arrived, and was never submitted", [send for send in taken if send not in accepted])
    found.note("refused", engine.refused)
    if ledger:
        # Behind a positive hand-off answer the row is written afterwards: a death in between costs the row, no message.
        may_lack = {send for send, (_, state) in accepted.items() if state == "relayed"} if accept == "auto" else set()
        found.note("accepted and not in the ledger", [send for send in accepted if send not in rows and send not in may_lack])
        found.note("in the ledger and never accepted", [send for send in rows if send not in accepted])
        found.note("two rows of one job", [] if ledger.count == len(rows) else [ledger.count - len(rows)])
        names = Counter(row["job_id"] for row in rows.values())
        found.note("two rows of one job id", [name for name, count in names.items() if count > 1])
        found.note("a row under another job id", [send for send, (job, _) in accepted.items()
                                                  if send in rows and rows[send]["job_id"] != engine.job_id(job)])
    figures = {
        "accepted": len(accepted), "arrived": sum(map(len, taken.values())), "different": len(taken),
        "doubled": len(doubled), "of them flagged": sum(send in flagged for send in doubled),
        "repeated by the engine": sum(send in again for send in doubled),
        "in doubt": len(in_doubt), "in doubt and not arrived": len(in_doubt - set(taken)),
        "submitted again": sum(count > 1 for count in engine.submitted),
    }
    if ledger:
        figures |= {"ledger": dict(ledger.states()), "not in the ledger": len(set(accepted) - set(rows))}
    return figures, found.problems
