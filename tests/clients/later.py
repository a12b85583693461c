#!/usr/bin/env python3
"""Clients that write everything before they read anything: what becomes of their jobs is told afterwards.

    later.py PATH-OF-TOKENRELAY [JOBS [CLIENT...]]

JOBS (default 2000) by each client, over HTTP to a listener with `accept = "auto"`. Each submits with `?respond=ledger` and then
fetches its results page by page by campaign, while jobs still end; one goes away without having read a result of its stream, and
finds them all the same.
"""

import json
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
from relay import IDENTITY, Lab, environment, free_ports  # noqa: E402

PAGE = 700
UNKNOWN = "e_00000000000000000000@tokens.example"
CONTENT = {"from": "news@brand.example", "subject": "Order {{data.order}}", "text": "Dear {{person.first_name}}"}
SECONDS_MAX = 300


class Clients:
    def __init__(self, lab, port, count):
        self.lab, self.port, self.count, self.problems = lab, port, count, []
        self.url = f"https://127.0.0.1:{port}/v1/jobs"

    def problem(self, who, what):
        self.problems.append(f"{who}: {what}")

    def file_of_jobs(self, who):
        """One in a thousand is addressed to nobody; one line is no job."""
        path = self.lab.folder / f"{who}.ndjson"
        people = self.lab.people
        with path.open("w") as out:
            for at in range(self.count):
                to = UNKNOWN if at % 1000 == 7 else self.lab.address(people[at % len(people)])
                out.write(json.dumps({"job_id": f"{who}-{at}", "to": to, "content": CONTENT, "data": {"order": str(at)}, "campaign": who}) + "\n")
        return path

    def get(self, path, query):
        url = f"https://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.lab.secret}"})
        with urllib.request.urlopen(request, context=self.lab.tls(), timeout=60) as answer:
            return answer.read().splitlines(), answer.headers

    def results(self, who, after):
        """The results of a campaign by job, read on until all of it has ended: of two of a job the later one holds."""
        found, deadline = {}, time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            lines, headers = self.get("/v1/jobs", {"campaign": who, "after": after, "limit": PAGE, "wait": 1})
            for result in map(json.loads, lines):
                if result["seq"] <= after or result["campaign"] != who:
                    self.problem(who, f"a result that was not asked for: {result}")
                found[result["job_id"]] = result
            after = int(headers["Tokenrelay-Cursor"])
            ended = sum(result["state"] != "journaled" for result in found.values())
            if len(lines) < PAGE and ended >= self.count:
                break
        return found

    def check_results(self, who, found):
        states = {"relayed": self.count - self.unknown(), "rejected": self.unknown()}
        told = {state: sum(result["state"] == state for result in found.values()) for state in states}
        if len(found) != self.count or told != states:
            self.problem(who, f"{len(found)} results of {self.count} jobs: {told}, not {states}")

    def unknown(self):
        return len(range(7, self.count, 1000))

    def with_receipt(self, who, words):
        path = self.file_of_jobs(who)
        with path.open("a") as out:
            out.write("no job\n")
        began = time.monotonic()
        given = {"url": self.url + "?respond=ledger", "ca": str(self.lab.ca), "key": self.lab.secret, "file": str(path)}
        done = subprocess.run([str(word) for word in words], input=json.dumps(given), capture_output=True, text=True, timeout=SECONDS_MAX)
        if done.returncode != 0:
            return self.problem(who, f"ended with {done.returncode}: {done.stderr[-600:]}")
        answer = json.loads(done.stdout)
        status, receipt = answer["status"], answer["body"]
        wanted = {"complete": True, "jobs": self.count + 1, "refused": self.unknown() + 1, "accepted": self.count - self.unknown(), "refusals_left_out": 0}
        if status != 202 or any(receipt.get(name) != value for name, value in wanted.items()):
            self.problem(who, f"answered {status} {str(receipt)[:600]}, not {wanted}")
        reasons = sorted(refusal["reason"] for refusal in receipt.get("refusals", []))
        if reasons != ["bad-job"] + ["unknown-token"] * self.unknown():
            self.problem(who, f"its refusals are told as {reasons}")
        taken = time.monotonic() - began
        self.check_results(who, self.results(who, receipt["after"]))
        print(f"{who:10} {self.count} jobs in {taken:.1f} s, results behind them in {time.monotonic() - began - taken:.1f} s")

    def gone(self):
        """Writes its stream as fast as it is taken, reads nothing, and goes away."""
        path = self.file_of_jobs("gone")
        body = path.read_bytes()
        plain = socket.create_connection(("127.0.0.1", self.port))
        with self.lab.tls().wrap_socket(plain, server_hostname="127.0.0.1") as peer:
            peer.sendall((f"POST /v1/jobs HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {self.lab.secret}\r\n"
                          f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n").encode())
            peer.settimeout(2)
            sent = 0
            try:
                while sent < len(body):
                    sent += peer.send(body[sent:sent + 16384])
            except TimeoutError:
                pass
            # It goes when the relay takes no more: with many jobs, because nobody reads their results.
            found, before = self.results_so_far("gone"), -1
            while before < len(found) < self.count:
                time.sleep(2)
                found, before = self.results_so_far("gone"), len(found)
        found = self.results_so_far("gone")
        if len(found) < min(self.count, 1000):
            self.problem("gone", f"{len(found)} results of {self.count} jobs")
        print(f"gone       wrote {sent} of {len(body)} bytes, read nothing, and finds the results of {len(found)} of {self.count} jobs")

    def results_so_far(self, who):
        found, after = {}, 0
        while True:
            lines, headers = self.get("/v1/jobs", {"campaign": who, "after": after, "limit": PAGE})
            found.update((result["job_id"], result) for result in map(json.loads, lines))
            after = int(headers["Tokenrelay-Cursor"])
            if len(lines) < PAGE:
                return found

    def one_job_and_no_ledger(self, handoff_port):
        path = self.file_of_jobs("one")
        job = path.read_text().splitlines()[0]
        for port, wanted in ((self.port, 202), (handoff_port, 400)):
            done = subprocess.run(["curl", "--silent", "--cacert", self.lab.ca, "-H", f"Authorization: Bearer {self.lab.secret}", "-H",
                                   "Content-Type: application/json", "-d", job, "-w", "\n%{http_code}",
                                   f"https://127.0.0.1:{port}/v1/jobs?respond=ledger"], capture_output=True, text=True, timeout=60)
            body, _, status = done.stdout.rpartition("\n")
            if status != str(wanted) or (wanted == 400 and "leave ?respond=ledger out" not in body):
                self.problem("one", f"answered {status} {body}, not {wanted}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    people = [{"customer_id": f"c{at}", "email": f"person.{at}@people.test", "first_name": f"Person{at}"} for at in range(40)]
    http_port, handoff_port = free_ports(2)
    doors = [("http", f"127.0.0.1:{http_port}", "implicit", IDENTITY),
             ("http", f"127.0.0.1:{handoff_port}", "implicit", IDENTITY + 'accept = "handoff"\n')]
    python = environment(HERE / "requirements.txt")
    began = time.monotonic()
    with Lab(sys.argv[1], people, doors=doors, accept="auto", more='[journal]\nretry_first = "1s"\n') as lab:
        clients = Clients(lab, http_port, count)
        programs = {name: [python, HERE / "later" / "python.py", name] for name in ("requests", "httpx", "aiohttp")}
        programs |= {"curl": [sys.executable, HERE / "later" / "with_curl.py"], "fetch": ["node", HERE / "later" / "fetch.mjs"]}
        for name in sys.argv[3:] or programs:
            clients.with_receipt(name, programs[name])
        clients.gone()
        clients.one_job_and_no_ledger(handoff_port)
        if not lab.stop():
            clients.problem("relay", "it did not end in peace")
    for problem in clients.problems:
        print(problem)
    print(f"{len(clients.problems)} problems, {time.monotonic() - began:.0f} s")
    return 1 if clients.problems else 0


if __name__ == "__main__":
    sys.exit(main())
