#!/usr/bin/env python3
"""Switches off each guard against leaks in turn, in a copy of the source, and runs the tests that have to notice. A guard whose tests
stay green without it is one that nobody would miss.

    run.py [NAME...]      about a minute and a half for each; they are listed in guards.py
"""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from guards import GUARDS

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / "target/without-a-guard"


def copy():
    """The files of the repository as they stand, with their times, so that only what changes is compiled anew."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    shutil.rmtree(COPY, ignore_errors=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)


def run(tests):
    """Whether the tests pass; none when it does not come to that."""
    command = ["cargo", "test", "--locked", "--target-dir", ROOT / "target", *tests.split()]
    done = subprocess.run(command, cwd=COPY, capture_output=True, text=True)
    ran = sum(map(int, re.findall(r"(\d+) passed", done.stdout))) + sum(map(int, re.findall(r"(\d+) failed", done.stdout)))
    if not ran:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n")
        return None
    return done.returncode == 0


def without(guard):
    path = COPY / guard.file
    whole = path.read_text()
    if whole.count(guard.on) != 1:
        return f"{guard.file} has its text {whole.count(guard.on)} times"
    path.write_text(whole.replace(guard.on, guard.off))
    try:
        passed = run(guard.tests)
    finally:
        path.write_text(whole)
    return {True: "its tests pass without it", False: None, None: "no test ran"}[passed]


def main():
    names = sys.argv[1:]
    if unknown := set(names) - {guard.name for guard in GUARDS}:
        sys.exit(f"no guard is called {', '.join(sorted(unknown))}; there are {', '.join(guard.name for guard in GUARDS)}")
    chosen = [guard for guard in GUARDS if not names or guard.name in names]
    copy()
    for tests in sorted({guard.tests for guard in chosen}):
        if not run(tests):
            sys.exit(f"the tests do not pass with all guards in place: cargo test {tests}")
    missed = 0
    for guard in chosen:
        begun = time.monotonic()
        problem = without(guard)
        missed += problem is not None
        print(f"{guard.name:24} {problem or 'noticed'} ({time.monotonic() - begun:.0f} s)", flush=True)
    shutil.rmtree(COPY)
    print(f"{len(chosen) - missed} of {len(chosen)} are missed when they are gone")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
