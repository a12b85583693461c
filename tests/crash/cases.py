"""What the cases of disk.py and weather.py share: how they are called, and how each ends.

A case is a function case_NAME of the module; its doc string says what has to hold; it gives problems, none when it does.
"""

import argparse
import random
import time

from lab import LabError, until
from ledger import Ledger, compare

RECOVERY_SECONDS_MAX = 60


class Skip(Exception):
    """Cannot be tried here; the text says why."""


def run_cases(doc, module):
    cases = {name.removeprefix("case_"): case for name, case in module.items() if name.startswith("case_")}
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(cases))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_intermixed_args()
    failed, skipped = [], []
    for name in args.cases or cases:
        args.dice = random.Random(args.seed)
        began = time.monotonic()
        print(f"{name}: {cases[name].__doc__}", flush=True)
        try:
            problems = cases[name](args)
        except Skip as why:
            print(f"  SKIPPED: {why}")
            skipped.append(name)
            continue
        except (LabError, OSError) as wrong:
            problems = [f"{type(wrong).__name__}: {wrong}"]
        for problem in problems:
            print(f"  PROBLEM {problem}")
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
        failed += [name] if problems else []
    print(f"seed {args.seed}: {len(failed)} cases failed{': ' + ', '.join(failed) if failed else ''}"
          f"{', SKIPPED ' + ', '.join(skipped) if skipped else ''}")
    return 1 if failed else 0


def finish(lab, engine, restarts=True):
    """Whatever happened, the rest is answered and delivered, and nothing is lost."""
    if restarts:
        lab.kill()
        lab.start()
    engine.allowed = engine.jobs
    if not engine.threads:
        engine.start()
    problems = until(engine.is_answered, RECOVERY_SECONDS_MAX, f"every job has an answer{'' if restarts else ', without a new start'}")
    engine.stop()
    problems += until(lambda: not waiting(lab), RECOVERY_SECONDS_MAX, "everything held is delivered")
    if lab.get("/readyz")[0] != 200:
        problems.append(f"/readyz is {lab.get('/readyz')} at the end")
    problems += lab.stop()
    ledger = Ledger(lab.database)
    own = {send: row for send, row in ledger.rows.items() if row["job_id"].startswith(engine.prefix + "-")}
    # Jobs of single questions, asked while something was wrong, are nobody's.
    ours = [arrival for arrival in lab.arrivals() if arrival["send"] in own or arrival["send"] not in ledger.rows]
    whole = ledger.problems()
    ledger.rows, ledger.count = own, len(own)
    figures, found = compare(engine, ours, ledger, "journal")
    print("  " + ", ".join(f"{what} {figures[what]}" for what in ("accepted", "different", "doubled", "in doubt")))
    return problems + found + whole + leaks(lab)


def waiting(lab):
    ledger = Ledger(lab.database)
    return ledger.due or ledger.flight


def leaks(lab):
    return [f"personal value: {leak}" for leak in lab.leaks()[:5]]
