#!/usr/bin/env python3
"""The clients that engines use, as they are, against the SMTP and LMTP doors: what each sends has to arrive personalised, and
what the relay refuses has to be told as such by the client.

    run.py PATH-OF-TOKENRELAY [CLIENT...]

Every message is its own template: placeholders in the subject, the plain text and the HTML, names and texts in several scripts,
an attachment. What arrived is read by Python's mail parser and by Rust's mail-parser, which have to agree.
"""

import base64
import hashlib
import json
import os
import shutil
import smtplib
import subprocess
import sys
import time
from email import policy
from email.message import EmailMessage
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "postfix")]
from postfix_engine import PostfixEngine  # noqa: E402
import programs  # noqa: E402
from relay import IDENTITY, USER, Lab, LabError, environment, free_ports, lmtp_doors, npm_package  # noqa: E402
from verify import Delivered, one_line, verify  # noqa: E402

NODEMAILER = "7.0.6"
SENDER = "news@brand.example"
NAMES = [("Zoë", "O'Brien"), ("דנה", "כהן"), ("سارا", "احمدی"), ("太郎", "山田"), ("Γιώργος", "Παπαδόπουλος"), ("Jürgen", "Groß, Jr."),
         ("יוסי", "בן־דוד"), ("علی‌رضا", "می‌رزا")]
GREETINGS = ["Your order ✓", "ההזמנה שלך", "سفارش شما", "ご注文"]
UNKNOWN = "e_00000000000000000000@tokens.example"
PLAIN_ADDRESS = "dana@people.test"
REFUSALS = ((PLAIN_ADDRESS, "5.7.1"), (UNKNOWN, "5.1.1"))
MANY = 40


class Message:
    """One message to one person, and what has to arrive."""

    def __init__(self, lab, client, number, person):
        self.person, self.to = person, lab.address(person)
        self.order = f"{client}-{number}"
        self.greeting = GREETINGS[number % len(GREETINGS)]
        self.subject = f"Hé {{{{person.first_name}}}}, {self.greeting} {self.order}"
        self.text = f"Dear {{{{person.first_name}}}} {{{{person.last_name}}}},\n\n.{self.greeting} {self.order} — ready\n.\nFrom us\n"
        self.html = (f"<p dir=\"auto\">Dear <b>{{{{person.first_name}}}}</b>, {self.greeting} {self.order} — ready</p>"
                     f"<p title=\"{{{{person.last_name}}}}\">bye</p>")
        self.file = hashlib.sha256(self.order.encode()).digest() * 40

    def expected(self):
        first, last = self.person["first_name"], self.person["last_name"]
        return {
            "to": self.person["email"], "name": f"{first} {last}", "from": SENDER,
            "subject": f"Hé {first}, {self.greeting} {self.order}",
            "text": [f"Dear {first} {last},", f".{self.greeting} {self.order} — ready", "From us"],
            "html": [first, last, f"{self.greeting} {self.order} — ready"], "attachments": [hashlib.sha256(self.file).hexdigest()],
        }

    def raw(self, number=0):
        """As a client sends it that is given a whole message; in one of several encodings."""
        message = EmailMessage(policy=policy.SMTP)
        message["From"] = f"Brand ✓ <{SENDER}>"
        message["To"] = self.to
        message["Subject"] = self.subject
        message.set_content(self.text, cte=["quoted-printable", "base64", "8bit"][number % 3])
        message.add_alternative(self.html, subtype="html", cte=["base64", "quoted-printable"][number % 2])
        message.add_attachment(self.file, "application", "octet-stream", filename="Größe 寸法.bin")
        return message.as_bytes()

    def fields(self):
        """As a client takes it that writes messages itself."""
        encoding = ["quoted-printable", "base64"][len(self.order) % 2]
        return {"from": f"Brand ✓ <{SENDER}>", "to": self.to, "subject": self.subject, "text": self.text, "html": self.html,
                "textEncoding": encoding,
                # Outside ASCII nodemailer writes an encoded-word into a quoted string, and the relay leaves attachments alone.
                "attachments": [{"filename": "tea prices.bin", "content": base64.b64encode(self.file).decode()}]}


class Run:
    sender, refusals = SENDER, REFUSALS

    def __init__(self, lab):
        self.lab, self.expected, self.problems = lab, [], []

    def messages(self, client, count):
        made = [Message(self.lab, client, number, self.lab.people[number % len(self.lab.people)]) for number in range(count)]
        self.expected += [message.expected() for message in made]
        return made

    def problem(self, who, what):
        self.problems.append((who, what))

    def refused(self, who, recipient, wanted, told):
        """What a client reports of a recipient that must be refused: the code, and nobody's data."""
        if "550" not in told or wanted not in told:
            self.problem(who, f"{recipient} was answered {told[-300:]!r}, not 550 {wanted}")
        return told


# ---- Clients: each sends, and says what it was told of refusals ------------------------------------------------------


def client_smtplib(run):
    lab = run.lab
    for at, port in enumerate((lab.smtp_port, lab.smtps_port)):
        made = run.messages(f"smtplib{at}", 6)
        with log_in(lab, port) as smtp:
            for number, message in enumerate(made):
                smtp.sendmail(SENDER, [message.to], message.raw(number))
    with log_in(lab, lab.smtp_port) as smtp:
        for recipient, wanted in REFUSALS:
            try:
                smtp.sendmail(SENDER, [recipient], run_of_the_mill(recipient))
                run.problem("smtplib", f"{recipient} was accepted")
            except smtplib.SMTPRecipientsRefused as refused:
                run.refused("smtplib", recipient, wanted, str(refused.recipients[recipient]))
        # Behind refusals the connection is as good as before.
        [message] = run.messages("smtplib-after", 1)
        smtp.sendmail(SENDER, [message.to], message.raw())
    wrong_password(run)


def wrong_password(run):
    with smtplib.SMTP_SSL("127.0.0.1", run.lab.smtps_port, context=run.lab.tls()) as smtp:
        try:
            smtp.login(USER, "wrong")
            run.problem("smtplib", "a wrong password was accepted")
        except smtplib.SMTPAuthenticationError as refused:
            if refused.smtp_code != 535:
                run.problem("smtplib", f"a wrong password was answered {refused}")


def client_aiosmtplib(run):
    made = run.messages("aiosmtplib", MANY)
    sent = [{"to": message.to, "raw": base64.b64encode(message.raw(number)).decode()} for number, message in enumerate(made)]
    refused = [{"to": to, "raw": base64.b64encode(run_of_the_mill(to).encode()).decode()} for to, _ in REFUSALS]
    # Refusals in the middle of the connection that all share, and on one of their own.
    order = sent[:5] + refused + sent[5:] + refused
    results = told_in_json(run, "aiosmtplib", [environment(HERE / "requirements.txt"), HERE / "aio.py"], {"messages": order})
    check_results(run, "aiosmtplib", results, refusals=2 * len(REFUSALS), accepted=MANY)


def client_nodemailer(run):
    packages = npm_package("nodemailer", NODEMAILER)
    for mode, count in (("plain", 6), ("pooled", MANY)):
        made = run.messages(f"nodemailer-{mode}", count)
        refused = [{"from": SENDER, "to": to, "subject": "x", "text": "x"} for to, _ in REFUSALS]
        results = told_in_json(run, f"nodemailer {mode}", ["node", HERE / "nodemailer.mjs"],
                               {"mode": mode, "messages": [message.fields() for message in made] + refused},
                               {"NODE_PATH": str(packages)})
        check_results(run, f"nodemailer {mode}", results, refusals=len(REFUSALS), accepted=count)


def client_swaks(run):
    for number, message in enumerate(run.messages("swaks", 4)):
        done = swaks(run.lab, message.to, message.raw(number))
        if done.returncode != 0:
            run.problem("swaks", f"ended with {done.returncode}: {done.stdout[-400:]}")
    # PIPELINING: MAIL, RCPT and DATA in one write.
    [message] = run.messages("swaks-pipelined", 1)
    if (done := swaks(run.lab, message.to, message.raw(), "--pipeline")).returncode != 0:
        run.problem("swaks", f"pipelined, it ended with {done.returncode}: {done.stdout[-400:]}")
    for recipient, wanted in REFUSALS:
        for more in ((), ("--pipeline",)):
            began = time.monotonic()
            done = swaks(run.lab, recipient, run_of_the_mill(recipient).encode(), *more)
            if time.monotonic() - began > 20:
                run.problem("swaks", f"it waited for the refusal of {recipient} until its own patience was over")
            run.refused("swaks", recipient, wanted, done.stdout)
            if done.returncode == 0:
                run.problem("swaks", f"{recipient} was accepted")


def swaks(lab, to, raw, *more):
    file = lab.folder / "swaks.eml"
    file.write_bytes(raw)
    return subprocess.run(
        ["swaks", "--server", f"localhost:{lab.smtp_port}", "--tls", "--tls-verify", "--tls-ca-path", lab.ca,
         "--auth", "LOGIN", "--auth-user", USER, "--auth-password", lab.secret, "--from", SENDER, "--to", to,
         "--data", f"@{file}", *more], capture_output=True, text=True, errors="replace", timeout=60)


def client_curl(run):
    for number, message in enumerate(run.messages("curl", 4)):
        done = curl(run.lab, message.to, message.raw(number), implicit=number % 2)
        if done.returncode != 0:
            run.problem("curl", f"ended with {done.returncode}: {done.stderr[-400:]}")
    for recipient, wanted in REFUSALS:
        done = curl(run.lab, recipient, run_of_the_mill(recipient).encode())
        run.refused("curl", recipient, wanted, done.stderr)
        if done.returncode == 0:
            run.problem("curl", f"{recipient} was accepted")


def curl(lab, to, raw, implicit=False):
    where = [f"smtps://127.0.0.1:{lab.smtps_port}"] if implicit else ["--ssl-reqd", f"smtp://127.0.0.1:{lab.smtp_port}"]
    return run_text(
        ["curl", "--silent", "--show-error", "--verbose", "--cacert", lab.ca, "--user", f"{USER}:{lab.secret}", "--mail-from", SENDER,
         "--mail-rcpt", to, "--upload-file", "-", *where], raw)


def client_msmtp(run):
    lab = run.lab
    config = lab.folder / "msmtprc"
    config.write_text(f"account default\nhost localhost\nport {lab.smtp_port}\nfrom {SENDER}\nauth plain\nuser {USER}\n"
                      f"password {lab.secret}\ntls on\ntls_starttls on\ntls_trust_file {lab.ca}\n")
    config.chmod(0o600)
    for number, message in enumerate(run.messages("msmtp", 4)):
        whom = ["--read-recipients"] if number % 2 else [message.to]
        done = run_text(["msmtp", f"--file={config}", *whom], message.raw(number))
        if done.returncode != 0:
            run.problem("msmtp", f"ended with {done.returncode}: {done.stderr[-400:]}")
    for recipient, wanted in REFUSALS:
        done = run_text(["msmtp", f"--file={config}", recipient], run_of_the_mill(recipient).encode())
        run.refused("msmtp", recipient, wanted, done.stderr)
        if done.returncode == 0:
            run.problem("msmtp", f"{recipient} was accepted")


def client_postfix(run):
    through_postfix(run, "postfix", "smtp", run.lab.smtp_port)


def client_lmtp(run):
    """Python's LMTP client and Postfix' own, over TCP and a socket file."""
    if not run.lab.lmtp:
        return
    # The socket file is for members of a group; the other Postfix is none.
    run.lab.lmtp["path"].chmod(0o666)
    for name, door in (("port", run.lab.lmtp["port"]), ("socket", str(run.lab.lmtp["path"]))):
        made = run.messages(f"lmtplib-{name}", 3)
        with smtplib.LMTP("127.0.0.1" if isinstance(door, int) else door, door if isinstance(door, int) else 0) as lmtp:
            if isinstance(door, int):
                lmtp.starttls(context=run.lab.tls())
                lmtp.login(USER, run.lab.secret)
            for number, message in enumerate(made):
                lmtp.sendmail(SENDER, [message.to], message.raw(number))
            for recipient, wanted in REFUSALS:
                try:
                    lmtp.sendmail(SENDER, [recipient], run_of_the_mill(recipient))
                    run.problem("LMTP", f"{recipient} was accepted")
                except smtplib.SMTPRecipientsRefused as refused:
                    run.refused("LMTP", recipient, wanted, str(refused.recipients[recipient]))
        through_postfix(run, f"postfix-lmtp-{name}", "lmtp", door)
    one_reply_a_recipient(run)


def one_reply_a_recipient(run):
    """Two people in one transaction (RFC 2033 §4.2): two replies after the data, and two messages."""
    path = str(run.lab.lmtp["path"])
    made = run.messages("lmtp-two", 2)
    with smtplib.LMTP(path) as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        lmtp.mail(SENDER)
        for to in (made[0].to, UNKNOWN, made[1].to):
            lmtp.rcpt(to)
        # The message goes to both, so its order is the same for both.
        run.expected[-1] = {**made[0].expected(), **recipient_of(made[0], made[1].person)}
        first = lmtp.data(made[0].raw())
        second = lmtp.getreply()
        for code, text in (first, second):
            if code != 250:
                run.problem("LMTP", f"one of two recipients was answered {code} {text}")


def recipient_of(message, person):
    """What another person gets of the same message."""
    other = Message.__new__(Message)
    other.__dict__ = {**message.__dict__, "person": person}
    return other.expected()


def through_postfix(run, name, protocol, door):
    """A Postfix of the engine's own takes the messages and passes them on; what is refused comes back as a bounce."""
    made = run.messages(name, 6)
    with PostfixEngine(protocol, door, run.lab.ca, USER, run.lab.secret) as engine:
        with smtplib.SMTP("127.0.0.1", engine.port) as smtp:
            for number, message in enumerate(made):
                smtp.sendmail(SENDER, [message.to], message.raw(number))
            for recipient, _ in REFUSALS:
                smtp.sendmail("", [recipient], run_of_the_mill(recipient))
        try:
            engine.wait(60)
        except Exception as error:  # noqa: BLE001 - what is left in its queue is told by its log
            run.problem(name, f"{error}\n{engine.log_tail()}")
        outcomes = engine.outcomes()
        if not (log := [line for line in outcomes if "status=sent" in line and "relayed as s_" in line]) or len(log) != len(made):
            run.problem(name, f"{len(log)} of {len(made)} sent:\n" + "\n".join(outcomes))
        for recipient, wanted in REFUSALS:
            lines = [line for line in outcomes if f"to=<{recipient}>" in line]
            run.refused(name, recipient, wanted, "\n".join(lines))
            if not any("status=bounced" in line for line in lines):
                run.problem(name, f"{recipient} did not bounce: {lines}")


CLIENTS = {"smtplib": client_smtplib, "aiosmtplib": client_aiosmtplib, "nodemailer": client_nodemailer, "swaks": client_swaks,
           "curl": client_curl, "msmtp": client_msmtp, "postfix": client_postfix, "lmtp": client_lmtp,
           **programs.CLIENTS}

# ---- What clients have in common -------------------------------------------------------------------------------------


def log_in(lab, port):
    if port == lab.smtps_port:
        smtp = smtplib.SMTP_SSL("127.0.0.1", port, context=lab.tls())
    else:
        smtp = smtplib.SMTP("127.0.0.1", port)
        smtp.starttls(context=lab.tls())
    smtp.login(USER, lab.secret)
    return smtp


def run_of_the_mill(to):
    return f"From: {SENDER}\r\nTo: {to}\r\nSubject: x\r\n\r\nDear {{{{person.first_name}}}}\r\n"


def run_text(words, given):
    done = subprocess.run([str(word) for word in words], input=given, capture_output=True, timeout=60)
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return done


def told_in_json(run, who, words, told, environment_more=None):
    lab = run.lab
    told = {"port": lab.smtp_port, "ca": str(lab.ca), "user": USER, "password": lab.secret, **told}
    done = subprocess.run([str(word) for word in words], input=json.dumps(told), capture_output=True, text=True, timeout=120,
                          env={**os.environ, **(environment_more or {})})
    if done.returncode != 0:
        run.problem(who, f"ended with {done.returncode}: {done.stderr[-600:]}")
        return []
    return json.loads(done.stdout)


def check_results(run, who, results, refusals, accepted):
    good = [result for result in results if result.get("accepted")]
    if len(good) != accepted or not all("relayed as s_" in result["response"] for result in good):
        run.problem(who, f"{len(good)} of {accepted} were accepted: {[r for r in results if not r.get('accepted')][:3]}")
    wanted = dict(REFUSALS)
    told = [result for result in results if result["to"] in wanted]
    if len(told) != refusals:
        run.problem(who, f"{len(told)} of {refusals} refusals were told")
    for result in told:
        run.refused(who, result["to"], wanted[result["to"]], f"{result.get('responseCode')} {result.get('response')}")


# ---- What arrived ----------------------------------------------------------------------------------------------------


def mailbox(lab):
    """The sink's messages as a folder that verify.py reads."""
    folder = lab.folder / "mailbox"
    folder.mkdir()
    for at, (envelope, content) in enumerate(lab.arrived()):
        if len(envelope["recipients"]) != 1 or not envelope["tls"]:
            raise LabError(f"an envelope is odd: {envelope['recipients']}, TLS {envelope['tls']}")
        head = f"X-Original-To: {envelope['recipients'][0]}\n".encode()
        (folder / f"{at:06}.eml").write_bytes(head + content.replace(b"\r\n", b"\n"))
    return folder


def readers_agree(folder):
    """(file, what) for each thing that Python's parser and Rust's mail-parser read differently."""
    done = subprocess.run(["cargo", "run", "--quiet", "--locked", "--example", "reading", "--", folder], cwd=ROOT,
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"the second reader failed: {done.stderr[-800:]}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        if row["read"] is None:
            yield row["file"], "mail-parser sees no message"
            continue
        mine, theirs = seen(Delivered(folder / row["file"])), row["read"]
        for key, value in mine.items():
            other = theirs[key]
            if key in ("text", "html", "subject", "to_name"):
                value, other = one_line(value), one_line(other)
            if value != other:
                yield row["file"], f"Python reads {key} as {value!r}, mail-parser as {other!r}"
    if len(rows) != len(list(folder.iterdir())):
        yield "all", f"mail-parser read {len(rows)} messages of {len(list(folder.iterdir()))}"


def seen(delivered):
    message = delivered.message
    attachments = list(message.iter_attachments())
    return {
        "to_name": delivered.recipient_name(), "to_address": message["To"].addresses[0].addr_spec, "subject": delivered.subject,
        "text": delivered.alternative("text/plain"), "html": delivered.alternative("text/html"),
        "kinds": [part.get_content_type() for part in message.walk() if not part.is_multipart()],
        "attachments": [hashlib.sha256(part.get_content()).hexdigest() for part in attachments],
        "names": [part.get_filename() for part in attachments],
        "headers": [name.lower() for name in message.keys()],
    }


# ---- The whole -------------------------------------------------------------------------------------------------------


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    binary, chosen = Path(sys.argv[1]).resolve(), sys.argv[2:] or list(CLIENTS)
    people = [{"customer_id": f"c{at}", "email": f"person.{at}@people{at % 3}.test", "first_name": first, "last_name": last,
               "consent": "service"} for at, (first, last) in enumerate(NAMES)]
    doors, lmtp = lmtp_doors(binary) if "lmtp" in chosen else ([], None)
    [http_port] = free_ports(1)
    doors.append(("http", f"127.0.0.1:{http_port}", "implicit", IDENTITY))
    with Lab(binary, people, doors=doors) as lab:
        lab.lmtp, lab.http_port = lmtp, http_port
        run = Run(lab)
        for name in chosen:
            began, before, wrong = time.monotonic(), len(run.expected), len(run.problems)
            CLIENTS[name](run)
            print(f"{name:12} {len(run.expected) - before:4} messages, {len(run.problems) - wrong} problems, "
                  f"{time.monotonic() - began:.1f} s", flush=True)
        folder = mailbox(lab)
        good, problems = verify(folder, run.expected)
        differences = list(readers_agree(folder))
        for person in people:
            if any(person[key] in lab.log for key in ("email", "first_name", "last_name")):
                run.problem("log", f"it names {person['customer_id']}")
        problems = run.problems + problems + differences
        if not lab.stop():
            problems.append(("relay", "it did not end in peace"))
    if lmtp:
        shutil.rmtree(lmtp["path"].parent, ignore_errors=True)
    for whom, problem in problems[:40]:
        print(f"{whom}: {problem}")
    print(f"{len(run.expected)} messages expected, {good} as expected; {len(differences)} differences between readers; "
          f"{len(problems)} problems")
    return 0 if good == len(run.expected) and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
