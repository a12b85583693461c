#!/usr/bin/env python3
"""The main job on real parts: 1,000 people of mixed languages from a CSV file, half of the jobs through HTTP as one
NDJSON stream, half over SMTP from Python's smtplib and from swaks, through the relay into a private Postfix, and
every delivered message read back and compared.

    end_to_end.py PATH-OF-TOKENRELAY
"""

import asyncio
import csv
import hashlib
import http.client
import io
import json
import os
import random
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from email.message import EmailMessage
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from postfix import Postfix  # noqa: E402
from verify import verify  # noqa: E402

PEOPLE = 1000
SWAKS = 40
NAMES = {
    "en": (["Sean", "Mary Ann", "Zoë", "\"Bob\"", "J. R. R."], ["O'Brien", "Smith, Jr.", "de la Cruz", "<Angle>", "& Sons"]),
    "he": (["דנה", "יוסי", "מיכל", "נועם"], ["כהן", "לוי", "בן־דוד", "מזרחי"]),
    "fa": (["سارا", "علی‌رضا", "مریم", "نوید"], ["احمدی", "رضایی", "می‌رزا", "کریمی"]),
    "ja": (["太郎", "花子", "さくら", "健一"], ["山田", "佐藤", "髙橋", "鈴木"]),
    "de": (["Jürgen", "Käthe", "Björn"], ["Müller-Lüdenscheid", "Groß", "Öztürk"]),
    "el": (["Γιώργος", "Ελένη"], ["Παπαδόπουλος", "Νικολάου"]),
}
ITEMS = [{"name": "Tea & biscuits", "quantity": 2, "price": "€7.00"}, {"name": "茶碗 <small>", "quantity": 1, "price": "€19.50"}]


def main():
    relay = Path(sys.argv[1]).resolve()
    random.seed(42)
    folder = Path(tempfile.mkdtemp(prefix="tokenrelay-e2e-"))
    try:
        with Postfix() as mta:
            good, problems, leaks = Run(relay, folder, mta).all()
        for whom, problem in problems[:40]:
            print(f"{whom}: {problem}")
        for leak in leaks[:20]:
            print(f"personal value on disk: {leak}")
        failed = len({whom for whom, _ in problems}) + len(leaks)
        print(f"{PEOPLE} people, {good} messages as expected, {len(leaks)} personal values on disk")
        print(f"{good} passed, {failed} failed")
        return 0 if good == PEOPLE and not failed else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Run:
    def __init__(self, relay, folder, mta):
        self.relay, self.folder, self.mta = relay, folder, mta
        self.config = folder / "tokenrelay.toml"
        self.smtp_port, self.http_port = free_port(), free_port()
        self.problems = []

    def all(self):
        self.call("init", self.folder)
        self.configure()
        people = [invent(number) for number in range(PEOPLE)]
        self.import_people(people)
        self.secret = (self.folder / "keys/campaigns.secret").read_text().strip()
        log = (self.folder / "relay.log").open("w")
        serve = subprocess.Popen([self.relay, "serve", "-c", self.config], stdout=log, stderr=log)
        try:
            wait_port(self.http_port, serve)
            check = subprocess.run([self.relay, "check", "--probe-to", "probe@people0.test", "-c", self.config], capture_output=True, text=True)
            if check.returncode != 0:
                self.problems.append(("check", check.stdout + check.stderr))
            half = PEOPLE // 2
            expected = self.over_http(people[:half]) + self.over_smtp(people[half:])
            self.refusals()
            self.wait_until_delivered()
        finally:
            serve.terminate()
            code = serve.wait(60)
        if code != 0:
            self.problems.append(("serve", f"ended with {code}"))
        self.mta.wait(120)
        good, problems = verify(self.mta.mailbox, expected)
        return good, self.problems + problems, self.search(people)

    def call(self, *words):
        done = subprocess.run([self.relay, *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"tokenrelay {words[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def configure(self):
        facts = self.mta.facts()
        text = self.config.read_text()
        password = self.folder / "keys/mta1.pass"
        password.touch(mode=0o600)
        password.write_text(facts["password"])
        shutil.copy(facts["ca"], self.folder / "certs/mta-ca.pem")
        text = text.replace("127.0.0.1:2525", f"127.0.0.1:{self.smtp_port}").replace("8025", str(self.http_port))
        text = text.replace("port = 2587", f"port = {facts['port']}").replace('ca = "certs/ca.pem"', 'ca = "certs/mta-ca.pem"')
        auth = f'auth = {{ user = "{facts["user"]}", password = "file:keys/mta1.pass" }}'
        self.config.write_text(re.sub(r"# auth = .*", auth, text))

    def import_people(self, people):
        with (self.folder / "people.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, fieldnames=[key for key in people[0] if key != "number"], extrasaction="ignore")
            rows.writeheader()
            rows.writerows(people)
        tokens = self.folder / "tokens.csv"
        self.call("vault", "import", self.folder / "people.csv", "--tokens-out", tokens, "--tokens-with", "customer_id",
                  "-c", self.config)
        with tokens.open() as file:
            by_customer = {row["customer_id"]: row["email_token"] for row in csv.DictReader(file)}
        for person in people:
            person["token"] = by_customer[person["customer_id"]]
        os.remove(self.folder / "people.csv")  # the clear copy is ours, not the relay's

    async def stream(self, jobs, context):
        """Both ways at once, in one thread: Python's TLS connections are not made for two."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http_port, ssl=context, server_hostname="127.0.0.1")

        async def write():
            writer.write(f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.secret}\r\nConnection: close\r\n"
                         "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for job in jobs:
                line = json.dumps(job, ensure_ascii=False).encode() + b"\n"
                writer.write(b"%x\r\n%s\r\n" % (len(line), line))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()

        _, octets = await asyncio.gather(write(), reader.read())
        writer.close()
        response = http.client.HTTPResponse(Octets(octets))
        response.begin()
        return [json.loads(line) for line in response.read().splitlines()]

    def over_http(self, people):
        """One request: jobs go up as a chunked stream while results come down."""
        context = ssl.create_default_context(cafile=self.folder / "certs/ca.pem")
        jobs, expected = zip(*[template_job(person) for person in people])
        results = asyncio.run(asyncio.wait_for(self.stream(jobs, context), 120))
        # `auto`: what the MTA does not take at once is held, and has to be with it in the end.
        taken = {result["job_id"]: result["state"] for result in results
                 if result["state"] in ("relayed", "journaled") and result["send"].startswith("s_")}
        self.held = [name for name, state in taken.items() if state == "journaled"]
        for job in jobs:
            if job["job_id"] not in taken:
                self.problems.append((job["job_id"], "not taken"))
        if len(results) != len(jobs):
            self.problems.append(("http", f"{len(results)} results for {len(jobs)} jobs"))
        return list(expected)

    def get(self, path):
        context = ssl.create_default_context(cafile=self.folder / "certs/ca.pem")
        connection = http.client.HTTPSConnection("127.0.0.1", self.http_port, context=context, timeout=10)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.secret}"})
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def wait_until_delivered(self):
        """Nothing is held any more, and what was held has reached the MTA."""
        until = time.monotonic() + 120
        while not re.search(r"^tokenrelay_journal_held_jobs 0$", self.get("/metrics"), re.M):
            if time.monotonic() > until:
                return self.problems.append(("journal", "jobs are still held"))
            time.sleep(0.2)
        for name in self.held:
            state = json.loads(self.get(f"/v1/jobs/{name}")).get("state")
            if state != "relayed":
                self.problems.append((name, f"was held, and ended {state}"))

    def over_smtp(self, people):
        expected = []
        with self.login() as smtp:
            for person in people[SWAKS:]:
                message, facts = own_message(person)
                smtp.send_message(message, "news@brand.example", [address(person)])
                expected.append(facts)
        for person in people[:SWAKS]:
            expected.append(self.swaks(person))
        return expected

    def login(self):
        context = ssl.create_default_context(cafile=self.folder / "certs/ca.pem")
        smtp = smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=60)
        smtp.starttls(context=context)
        smtp.login("campaigns", self.secret)
        return smtp

    def swaks(self, person):
        """A template of the relay, named in headers."""
        job, facts = template_job(person)
        done = subprocess.run(
            ["swaks", "--server", f"127.0.0.1:{self.smtp_port}", "--tls", "--auth", "PLAIN", "--auth-user", "campaigns",
             "--auth-password", self.secret, "--from", "news@brand.example", "--to", address(person),
             "--header", "Subject: replaced by the template", "--add-header", f"X-TokenRelay-Template: {job['template']}",
             "--add-header", f"X-TokenRelay-Data: {json.dumps(job['data'])}",
             "--add-header", f"X-TokenRelay-Locale: {job['locale']}", "--body", "unused"],
            capture_output=True, text=True)
        if done.returncode != 0:
            self.problems.append((person["customer_id"], f"swaks ended with {done.returncode}: {(done.stdout + done.stderr)[-400:]}"))
        return facts

    def refusals(self):
        """What must not get through, and what the engine is told."""
        with self.login() as smtp:
            for recipient, wanted in (("dana@example.test", b"5.7.1"), ("e_0000000000000000@tokens.example", b"5.1.1")):
                try:
                    smtp.sendmail("news@brand.example", [recipient], "Subject: x\r\n\r\nx\r\n")
                    self.problems.append((recipient, "was accepted"))
                except smtplib.SMTPRecipientsRefused as refused:
                    code, text = refused.recipients[recipient]
                    if code != 550 or wanted not in text or b"dana" in text:
                        self.problems.append((recipient, f"answered {code} {text}"))

    def search(self, people):
        """Values of people in any file of the relay, in every form they are likely to take."""
        with tempfile.NamedTemporaryFile("w", prefix="values-") as values:
            values.writelines(f"{person[key]}\n" for person in people for key in ("email", "phone", "street"))
            values.flush()
            finder = self.relay.parent / "examples/leaks"
            done = subprocess.run([finder, values.name, self.folder], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            sys.exit(f"the search for personal values failed: {done.stderr}")
        return done.stdout.splitlines()


class Octets:
    """What was read, as the socket that http.client reads."""

    def __init__(self, octets):
        self.octets = octets

    def makefile(self, _mode):
        return io.BytesIO(self.octets)


def address(person):
    return f"{person['token']}@tokens.example"


def invent(number):
    locale = random.choice(list(NAMES))
    first, last = (random.choice(names) for names in NAMES[locale])
    return {
        "number": number, "email": f"person.{number}@people{number % 7}.test", "phone": f"+99900{number:06}", "first_name": first,
        "last_name": last, "locale": locale, "city": "Springfield", "street": f"{number} Märchen–Straße", "account_last4": f"{number:04}",
        "balance": f"€{number}.25", "customer_id": f"cust-{number:05}", "consent": "service marketing",
    }


def shown_name(person, template=None):
    if person["locale"] == "ja" and template:
        return f"{person['last_name']} {person['first_name']} 様"
    return f"{person['first_name']} {person['last_name']}"


def template_job(person):
    """A job with one of the relay's templates, and what has to arrive."""
    number = person["number"]
    order = f"A-{number}"
    name, data, marks = [
        ("welcome", {"shop": f"Shop {order}"}, [f"Shop {order}"]),
        ("receipt", {"order": order, "ordered_on": "2026-03-01", "items": ITEMS, "total": "€33.50"}, [order, "茶碗 <small>", "Tea & biscuits"]),
        ("statement", {"period": f"March {order}", "lines": [{"date": "2026-03-02", "text": "Salary", "amount": "€5", "kind": "in"}]},
         [f"March {order}", person["balance"], person["account_last4"]]),
    ][number % 3]
    locale = person["locale"] if person["locale"] in ("he", "fa", "ja") else "en"
    job = {"job_id": f"e2e-{number}", "to": address(person), "template": name, "locale": locale, "data": data, "campaign": "e2e"}
    facts = {"to": person["email"], "text": marks, "html": marks}
    if name != "welcome":
        facts["name"] = shown_name(person, name)
    return job, facts


def own_message(person):
    """A message of the engine's own that is the template, in several charsets and transfer encodings."""
    number = person["number"]
    message = EmailMessage()
    message["From"] = "Brand ✓ <news@brand.example>"
    message["To"] = address(person)
    message["Subject"] = f"Hé {{{{person.first_name}}}}, order O-{number} ✓"
    message["X-TokenRelay-Purpose"] = "service"
    body = f"Dear {{{{person.first_name}}}} {{{{person.last_name}}}},\n\n.order O-{number} — ready\n.\nFrom us\n"
    transfer = ["quoted-printable", "base64", "8bit"][number % 3]
    message.set_content(body, cte=transfer)
    page = f"<p>Dear <b>{{{{person.first_name}}}}</b>, order O-{number} — ready</p><p title=\"{{{{person.last_name}}}}\">bye</p>"
    message.add_alternative(page, subtype="html", cte=["base64", "quoted-printable"][number % 2])
    attached = [os.urandom(500)] if number % 5 == 0 else []
    for octets in attached:
        message.add_attachment(octets, "application", "octet-stream", filename="Größe.bin")
    first, last = person["first_name"], person["last_name"]
    facts = {
        "to": person["email"], "name": shown_name(person), "subject": f"Hé {first}, order O-{number} ✓",
        "text": [f"Dear {first} {last},", f".order O-{number} — ready", "From us"], "html": [first, last, f"order O-{number} — ready"],
        "attachments": [hashlib.sha256(octets).hexdigest() for octets in attached],
    }
    return message, facts


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(port, process):
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"the relay ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("the relay does not listen")


if __name__ == "__main__":
    sys.exit(main())
