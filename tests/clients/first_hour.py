#!/usr/bin/env python3
"""The first hour with the relay, in the README's words: from an empty folder to a campaign's totals.

    first_hour.py PATH-OF-TOKENRELAY

The commands of "Your own relay" and of "Pointing an engine at it" are taken from the README and run as they stand there, but for the
ports, which are free ones, and `cargo install`. In place of the invented people there is a file as Excel saves it.
"""

import json
import os
import re
import shlex
import signal
import smtplib
import ssl
import subprocess
import sys
import tempfile
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE)]
from relay import free_ports, npm_package, wait_port  # noqa: E402
from run import NODEMAILER  # noqa: E402

PEOPLE = [("dana@people.test", "דנה", "כהן", "service marketing", "k-1"), ("zoe@people.test", "Zoë", "O'Brien", "service marketing", "k-2"),
          ("taro@people.test", "太郎", "", "service marketing", "k-3"), ("igor@people.test", "Igor; junior", "Grün", "service -marketing", "k-4")]
COLUMNS = ["email", "first_name", "last_name", "consent", "customer_id"]
CAMPAIGN = "c42"


class Hour:
    def __init__(self, binary, folder):
        self.folder, self.here, self.processes, self.problems = folder, folder, [], []
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "tokenrelay").symlink_to(Path(binary).resolve())
        self.environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "NO_COLOR": "1"}
        self.ports = dict(zip(("2525", "8025", "2587"), map(str, free_ports(3))))

    def expect(self, holds, what):
        if not holds:
            self.problems.append(what)

    def with_ports(self, text):
        return re.sub(r"\b(2525|8025|2587)\b", lambda found: self.ports[found[0]], text)

    def run(self, line, ends=0):
        """One line of a shell, in the folder where the last one left off."""
        done = subprocess.run(["bash", "-c", f"set -e; {line}\npwd > {self.folder}/pwd"], cwd=self.here, env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode != ends:
            raise SystemExit(f"$ {line}\nended with {done.returncode}, not {ends}:\n{done.stdout}{done.stderr}")
        if ends == 0:
            self.here = Path((self.folder / "pwd").read_text().strip())
        return done.stdout + done.stderr

    def spawn(self, line):
        log = (self.folder / f"log-{len(self.processes)}").open("w")
        process = subprocess.Popen(shlex.split(line), cwd=self.here, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT if "sink" in process.args else signal.SIGTERM)
            self.expect(process.wait(60) == 0, f"{process.args[:2]} ended with {process.returncode}")
        self.processes = []


def readme_block(heading, number):
    """The lines of a shell block under a heading, comments left out, continued lines joined."""
    text = (ROOT / "README.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    block = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[number].replace("\\\n", " ")
    return [re.sub(r"\s{2,}#.*", "", line) for line in block.splitlines() if line.strip()]


def table(separator, encoding, rows=PEOPLE, columns=COLUMNS):
    """As Excel saves it: `;` where the comma is the decimal sign, tabs in "Unicode Text"."""
    def cell(value):
        return f'"{value}"' if separator in value or '"' in value else value

    lines = [separator.join(map(cell, row)) for row in [columns, *rows]]
    return ("\ufeff" + "".join(line + "\r\n" for line in lines)).encode(encoding)


def own_relay(hour):
    """README, "Your own relay", line by line."""
    lines = [line for line in readme_block("Your own relay", 0) if not line.startswith("cargo install")]
    for line in map(hour.with_ports, lines):
        if line.endswith("&"):
            process = hour.spawn(line[:-1])
            wait_port(int(hour.ports["2587" if "sink" in line else "2525"]), process, lambda: "".join(p.read_text() for p in hour.folder.glob("log-*")))
            continue
        if line.startswith("tokenrelay vault import"):
            (hour.here / "people.xlsx").write_bytes(b"PK\x03\x04" + bytes(200))
            told = hour.run(line.replace("people.csv", "people.xlsx"), ends=1)
            hour.expect("save it as CSV UTF-8" in told, f"a workbook is refused so: {told}")
            hour.expect(not (hour.here / "tokens.csv").exists(), "no list of tokens is written of a file that was not read")
            (hour.here / "people.csv").write_bytes(table(";", "utf-8"))
        told = hour.run(line)
        if "init" in line:
            config = hour.here / "tokenrelay.toml"
            config.write_text(hour.with_ports(config.read_text()))
        if "vault import" in line:
            hour.expect(re.search(r"created +4\b", told) and re.search(r"failed +0\b", told), f"the import says {told}")
    (hour.here / "again.txt").write_bytes(table("\t", "utf-16-le"))
    told = hour.run("tokenrelay vault import again.txt --format csv")
    hour.expect(re.search(r"unchanged +4\b", told), f"the same people as Unicode Text: {told}")


def tokens(hour):
    rows = [line.split(",") for line in (hour.here / "tokens.csv").read_text().splitlines()]
    at, customer = rows[0].index("email_token"), rows[0].index("customer_id")
    return {row[customer]: row[at] for row in rows[1:]}


def three_engines(hour, token_of):
    """smtplib, swaks and curl as the README has them, and Nodemailer: one message each, all of one campaign."""
    secret, ca = (hour.here / "keys/campaigns.secret").read_text().strip(), hour.here / "certs/ca.pem"
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Shop <news@brand.example>", f"{token_of['k-2']}@tokens.example", "Hello {{person.first_name}}"
    message["X-TokenRelay-Campaign"], message["X-TokenRelay-Job-Id"] = CAMPAIGN, "smtplib-1"
    message.set_content("Dear {{person.first_name}} {{person.last_name}}, ...")
    with smtplib.SMTP("127.0.0.1", int(hour.ports["2525"])) as smtp:
        smtp.starttls(context=ssl.create_default_context(cafile=ca))
        smtp.login("campaigns", secret)
        smtp.send_message(message)
    [token_line, swaks] = readme_block("Pointing an engine at it", 0)
    told = hour.run(hour.with_ports(f"{token_line}\n{swaks} --header 'X-TokenRelay-Campaign: {CAMPAIGN}'"))
    hour.expect("relayed as s_" in told, f"swaks was told {told[-600:]}")
    block = " ".join(line for line in readme_block("Pointing an engine at it", 1) if not line.startswith(("{", "tokenrelay")))
    told = hour.run(hour.with_ports(f"{token_line}\n{block}"))
    hour.expect('"job_id":"c42-17"' in told and '"state":"relayed"' in told, f"curl was told {told[-600:]}")
    given = {"port": int(hour.ports["2525"]), "ca": str(ca), "user": "campaigns", "password": secret, "mode": "plain", "messages": [
        {"from": "news@brand.example", "to": f"{token_of['k-3']}@tokens.example", "subject": "{{person.first_name}}", "text": "Dear {{person.first_name}}",
         "headers": {"X-TokenRelay-Campaign": CAMPAIGN}}]}
    done = subprocess.run(["node", HERE / "nodemailer.mjs"], input=json.dumps(given), capture_output=True, text=True, timeout=60,
                          env={**os.environ, "NODE_PATH": str(npm_package("nodemailer", NODEMAILER))})
    hour.expect("relayed as s_" in done.stdout, f"Nodemailer was told {done.stdout}{done.stderr}")


def http(hour, path, body=None):
    words = ["curl", "--silent", "--cacert", "certs/ca.pem", "-H", f"Authorization: Bearer {(hour.here / 'keys/campaigns.secret').read_text().strip()}"]
    words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body else []
    done = subprocess.run([*words, f"https://127.0.0.1:{hour.ports['8025']}{path}"], cwd=hour.here, capture_output=True, text=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def mended(hour, token_of):
    """Two are refused, one for want of a field and one for want of consent; both are put right in the vault. One is submitted again
    under its job_id, the other attempted again by the operator."""
    content = {"from": "news@brand.example", "subject": "For {{person.first_name}}", "text": "Dear {{person.first_name}} {{person.last_name}}"}
    jobs = [{"job_id": "no-name", "to": f"{token_of['k-3']}@tokens.example", "content": content, "campaign": CAMPAIGN},
            {"job_id": "no-consent", "to": f"{token_of['k-4']}@tokens.example", "content": content, "campaign": CAMPAIGN, "purpose": "marketing"}]
    for job, wanted in zip(jobs, ("missing-field", "no-consent")):
        [result] = http(hour, "/v1/jobs", job)
        hour.expect(result.get("reason") == wanted, f"{job['job_id']} is refused so: {result}")
    told = hour.run(f"tokenrelay jobs list --campaign {CAMPAIGN} --reason missing-field --detail")
    hour.expect("last_name" in told, f"the list does not say what is missing: {told}")
    rows = [(token_of["k-3"], "山田", ""), (token_of["k-4"], "", "marketing")]
    (hour.here / "mended.csv").write_bytes(table(";", "utf-8", rows, ["token", "last_name", "consent"]))
    hour.run("tokenrelay vault import mended.csv")
    told = hour.run(f"tokenrelay jobs retry --campaign {CAMPAIGN} --reason no-consent --yes")
    hour.expect("1" in told, f"jobs retry says {told}")
    wait_relayed(hour, "no-consent")
    for job in jobs:
        deadline = time.monotonic() + 10
        while (result := http(hour, "/v1/jobs", job)[0]).get("state") != "relayed" and time.monotonic() < deadline:
            time.sleep(0.3)
        hour.expect(result.get("state") == "relayed", f"{job['job_id']}, mended: {result}")


def wait_relayed(hour, job_id):
    """A relay that holds a job attempts it within a second or so."""
    deadline = time.monotonic() + 20
    while (job := http(hour, f"/v1/jobs/{job_id}")[0]).get("state") != "relayed" and time.monotonic() < deadline:
        time.sleep(0.2)
    hour.expect(job.get("state") == "relayed", f"{job_id}, retried: {job}")


def totals(hour, jobs):
    told = hour.run(f"tokenrelay jobs summary {CAMPAIGN}")
    hour.expect(f"campaign {CAMPAIGN}: {jobs} jobs" in told and f"{jobs}  relayed" in told and "finished" in told, f"the summary says {told}")
    results = http(hour, f"/v1/jobs?campaign={CAMPAIGN}")
    hour.expect(len(results) == jobs and all(result["state"] == "relayed" for result in results), f"the results are {results}")
    [counted] = http(hour, f"/v1/campaigns/{CAMPAIGN}")
    hour.expect((counted["jobs"], counted["finished"]) == (jobs, True), f"the campaign's counts are {counted}")


def arrived(hour):
    """To whom, and how they are called: nobody got a placeholder."""
    found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in (hour.here / "mail").glob("*.eml")]
    whom = sorted(str(message["To"].addresses[0].addr_spec) for message in found)
    wanted = sorted(["zoe@people.test", "dana@people.test", "dana@people.test", "taro@people.test", "taro@people.test", "igor@people.test"])
    hour.expect(whom == wanted, f"it arrived at {whom}, not at {wanted}")
    texts = [str(message["Subject"]) + message.get_body(("plain",)).get_content() for message in found]
    hour.expect(not any("{{" in text for text in texts), f"placeholders arrived: {texts}")
    hour.expect(sum("Zoë" in text for text in texts) == 1 and sum("山田" in text for text in texts) == 1, f"names are missing: {texts}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tokenrelay-hour-") as folder:
        hour = Hour(sys.argv[1], Path(folder))
        try:
            own_relay(hour)
            token_of = tokens(hour)
            three_engines(hour, token_of)
            mended(hour, token_of)
            totals(hour, 6)
        finally:
            hour.stop()
        arrived(hour)
    for problem in hour.problems:
        print(problem)
    print(f"{len(hour.problems)} problems, {time.monotonic() - began:.0f} s")
    return 1 if hour.problems else 0


if __name__ == "__main__":
    sys.exit(main())
