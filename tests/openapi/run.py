#!/usr/bin/env python3
"""The description of the HTTP door (/openapi.json), held against the running relay by schemathesis.

    run.py PATH-OF-TOKENRELAY [SEED]

Every operation is called with what its description allows, and with what it does not: the answer has to be one that is described, with
its status, type, headers and members, never a 500; what is not as described is refused, keys are asked for, and other methods
are not taken. hooks.py says what JSON Schema cannot, and looks at streams line by line.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "clients")]
from relay import Lab, environment, free_ports  # noqa: E402

EXAMPLES = 60
# The same calls each time, so that a run says something of a change; others by hand.
SEED = 11
SECONDS_MAX = 85


def people():
    names = [("Zoë", "O'Brien"), ("דנה", "כהן"), ("Jürgen", "Groß, Jr.")]
    return [{"customer_id": f"c{at}", "email": f"p{at}@people.test", "first_name": first, "last_name": last}
            for at, (first, last) in enumerate(names)]


def run(binary, seed):
    [port] = free_ports(1)
    began = time.monotonic()
    with Lab(binary, people(), doors=[("http", f"127.0.0.1:{port}", "none", "")], accept="auto") as lab:
        told = {"TOKENS": json.dumps([lab.address(person) for person in lab.people]), "ENGINE_KEY": lab.secret,
                "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")}
        done = subprocess.run(
            [environment(HERE / "requirements.txt").parent / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run",
             f"http://127.0.0.1:{port}/openapi.json", "--seed", str(seed), "--max-examples", str(EXAMPLES),
             "--phases", "examples,coverage,fuzzing", "--warnings", "off", "--max-time", str(SECONDS_MAX - 40)],
            cwd=lab.folder, env={**os.environ, **told, "NO_COLOR": "1"}, timeout=SECONDS_MAX * 3)
    seconds = time.monotonic() - began
    print(f"openapi: {seconds:.0f} s, seed {seed}")
    return done.returncode


def main():
    binary, *seed = sys.argv[1:]
    return run(binary, int(seed[0]) if seed else SEED)


if __name__ == "__main__":
    sys.exit(main())
