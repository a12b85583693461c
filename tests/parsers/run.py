#!/usr/bin/env python3
"""Generated templates, rendered for two people with hostile values and read by parsers that others wrote: of every template that the
relay takes, the tree must be the same for both, and no value may stand where anything is fetched, linked or submitted.

    run.py RENDERER [COUNT] [SEED]     RENDERER is the example `parsers` (tests/parsers/render.rs)

Without a seed they are the same each time; with `random` for one, half of them are new.

html5lib reads each of them, Chromium some hundreds. Without Chromium that part is skipped, and it says so.
"""

import json
import random
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
if __name__ == "__main__" and "--inside" not in sys.argv:
    from relay import environment

    sys.exit(subprocess.run([environment(HERE / "requirements.txt"), *sys.argv, "--inside"]).returncode)

import chromium  # noqa: E402
from reading import Reading  # noqa: E402
from templates import Grammar  # noqa: E402

PEOPLE = [
    {"email": "qzqa@post.example", "first_name": "Qzqanna", "city": "Qzqaville"},
    {"email": "\"qzq</a>'\"@post.example", "first_name": "qzq\"><img src=x onerror=y '`= --><b>", "city": "qzq]]></textarea></svg>&colon;&#58;"},
]
FOR_CHROMIUM = 400


def judged(case):
    template, renders = case
    for scripting in (False, True):
        first, second = (Reading(text, person.values(), scripting) for text, person in zip(renders, PEOPLE))
        problems = first.problems + second.problems
        if first.shape != second.shape:
            problems.append("another tree")
        if problems:
            return template, sorted(set(problems))
    return None


def main():
    renderer, *numbers = [argument for argument in sys.argv[1:] if argument != "--inside"]
    count = int(numbers[0]) if numbers else 10_000
    seed = numbers[1] if len(numbers) > 1 else "0"
    if seed == "random":
        seed = str(random.SystemRandom().randrange(10**9))
    print(f"seed {seed} (half of the templates; the others are the same each time)")
    templates = [Grammar(f"{seed}-{n}" if n % 2 else f"fixed-{n}").template() for n in range(count)]
    lines = "\n".join(json.dumps(line) for line in [PEOPLE, *templates]) + "\n"
    done = subprocess.run([renderer], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == count, "an answer for each"
    taken = [(template, answer["renders"]) for template, answer in zip(templates, answers) if "renders" in answer]
    print(f"{len(taken)} of {count} templates are taken")
    if not count // 20 < len(taken) < count:
        raise SystemExit("so many or so few that the others show nothing")
    with ProcessPoolExecutor() as workers:
        found = [problem for problem in workers.map(judged, taken, chunksize=50) if problem]
    print(f"html5lib: {len(found)} of {len(taken)} let a value out")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser:
        some = taken[:: max(1, len(taken) // FOR_CHROMIUM)]
        for (template, _), pair in zip(some, chromium.read(browser, [renders for _, renders in some])):
            (first, one), (second, other) = pair
            problems = one + other + (["another tree"] if first != second else [])
            if problems:
                found.append((template, ["Chromium: " + problem for problem in problems]))
        print(f"Chromium: read {len(some)}")
    else:
        print("Chromium is not installed: skipped")
    for template, problems in found[:20]:
        print(json.dumps(template), problems)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
