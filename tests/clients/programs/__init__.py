"""Further clients that engines use, each a small program in its own language (beside this file), driven by run.py."""

import base64
import json
import os
import re
import smtplib
import subprocess
from pathlib import Path

from relay import DOMAIN, USER, environment, npm_package

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parent / "requirements.txt"
EMAILJS = "5.0.3"
EACH = 4
REASONS = {"5.7.1": "not-a-token", "5.1.1": "unknown-token"}


def told(run, who, words, given, more=None):
    """What a program was told: a list of results."""
    lab = run.lab
    given = {"port": lab.smtp_port, "ca": str(lab.ca), "user": USER, "password": lab.secret, "sender": run.sender, **given}
    done = subprocess.run([str(word) for word in words], input=json.dumps(given), capture_output=True, text=True, timeout=180,
                          env={**os.environ, **(more or {})})
    if done.returncode != 0:
        run.problem(who, f"ended with {done.returncode}: {done.stderr[-600:]}")
        return []
    return json.loads(done.stdout)


def check(run, who, results, accepted):
    """All that may be mailed was taken, and each refusal told with its code."""
    good = [result for result in results if result.get("accepted")]
    if len(good) != accepted:
        run.problem(who, f"{len(good)} of {accepted} were accepted: {[r for r in results if not r.get('accepted')][:3]}")
    for to, wanted in run.refusals:
        said = [f"{result.get('responseCode') or ''} {result.get('response')}" for result in results if result["to"] == to]
        for one in said or ["nothing"]:
            # PHPMailer leaves the codes out, and says what the relay says.
            if not any(word in one for word in ("550", wanted, REASONS[wanted])):
                run.problem(who, f"{to} was answered {one[-300:]!r}, not 550 {wanted}")


def with_fields(run, who, words, given=None, more=None):
    """A client that writes the message itself."""
    made = run.messages(who, EACH)
    refused = [{"from": run.sender, "to": to, "subject": "x", "text": "x"} for to, _ in run.refusals]
    messages = [{**message.fields(), "textEncoding": "quoted-printable"} for message in made] + refused
    check(run, who, told(run, who, words, {**(given or {}), "messages": messages}, more), EACH)


def netsmtp(run):
    """Authen::SASL sends the user as authorization identity (RFC 4616 §2)."""
    made = run.messages("netsmtp", EACH)
    messages = [{"to": message.to, "raw": base64.b64encode(message.raw(number)).decode()} for number, message in enumerate(made)]
    messages += [{"to": to, "raw": base64.b64encode(b"Subject: x\r\n\r\nx\r\n").decode()} for to, _ in run.refusals]
    check(run, "netsmtp", told(run, "netsmtp", ["perl", HERE / "netsmtp.pl"], {"messages": messages}), EACH)


def git_send_email(run):
    lab = run.lab
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Brand"), ("EMAIL", run.sender))}
    for number, message in enumerate(run.messages("git", EACH)):
        file = lab.folder / f"git-{number}.eml"
        raw = message.raw(number).replace(b"\r\n", b"\n")
        # It takes encoded words beside plain ones for plain text, and encodes them once more.
        file.write_bytes(re.sub(rb"Subject: .*?\n(?=\S)", lambda _: f"Subject: {message.subject}\n".encode(), raw, flags=re.DOTALL))
        words = ["perl", "/usr/lib/git-core/git-send-email", "--confirm=never", "--suppress-cc=all", "--no-validate", "--quiet", "--8bit-encoding=UTF-8",
                 "--smtp-server=localhost", f"--smtp-server-port={lab.smtp_port}", "--smtp-encryption=tls", "--smtp-auth=PLAIN",
                 f"--smtp-ssl-cert-path={lab.ca}", f"--smtp-user={USER}", f"--smtp-pass={lab.secret}", f"--from={run.sender}",
                 f"--to={message.to}", "--no-signed-off-by-cc", "--no-thread", "--transfer-encoding=auto", file]
        done = subprocess.run([str(word) for word in words], cwd=lab.folder, capture_output=True, text=True, timeout=60,
                              env={**os.environ, **identity, "HOME": str(lab.folder), "GIT_DIR": str(lab.folder / "none.git"), "GIT_EXEC_PATH": "/usr/lib/git-core"})
        if done.returncode != 0:
            run.problem("git", f"ended with {done.returncode}: {done.stdout[-200:]}{done.stderr[-400:]}")


def emailjs(run):
    """Bare LFs between CRLFs. It does not stuff dots, so any server takes away the one that begins a line (RFC 5321 §4.5.2)."""
    packages = npm_package("emailjs", EMAILJS)
    with_fields(run, "emailjs", ["node", HERE / "emailjs.mjs"], {"packages": str(packages)})
    for expected in run.expected[-EACH:]:
        expected["text"] = [line.removeprefix(".") for line in expected["text"]]


def phpmailer(run):
    with_fields(run, "phpmailer", ["php", HERE / "phpmailer.php"])


def ruby_mail(run):
    with_fields(run, "ruby", ["ruby", HERE / "mail.rb"])


def django(run):
    with_fields(run, "django", [environment(REQUIREMENTS), HERE / "django_mail.py"])


def smtplib_lf(run):
    """The commonest script there is: what `as_bytes()` gives, with bare LFs."""
    lab = run.lab
    made = run.messages("smtplib-lf", EACH)
    with smtplib.SMTP("127.0.0.1", lab.smtp_port) as smtp:
        smtp.starttls(context=lab.tls())
        smtp.login(USER, lab.secret)
        for number, message in enumerate(made):
            smtp.sendmail(run.sender, [message.to], message.raw(number).replace(b"\r\n", b"\n"))
    if "bare LF in the content, taken as a line end" not in lab.log:
        run.problem("smtplib-lf", "the log does not say that bare LFs were taken as line ends")


def over_http(run):
    """The commonest clients of Python, single jobs and a stream."""
    lab = run.lab
    for client in ("requests", "httpx", "aiohttp"):
        made = run.messages(f"http-{client}", 2 * EACH)
        jobs = [{"job_id": message.order, "to": message.to, "content": {key: message.fields()[key] for key in ("from", "subject", "text", "html")}}
                for message in made]
        # The HTTP door's jobs have no attachments.
        for expected in run.expected[-len(made):]:
            expected["attachments"] = []
        unknown = {"job_id": f"{client}-unknown", "to": f"e_00000000000000000000@{DOMAIN}", "content": jobs[0]["content"]}
        words = [environment(REQUIREMENTS), HERE / "http_jobs.py"]
        given = {"client": client, "url": f"https://127.0.0.1:{lab.http_port}", "jobs": [*jobs, unknown]}
        states = {result.get("job_id"): result.get("state") or result.get("reason") for result in told(run, client, words, given)}
        if wrong := {job["job_id"]: states.get(job["job_id"]) for job in jobs if states.get(job["job_id"]) != "relayed"}:
            run.problem(client, f"not relayed: {wrong}")


CLIENTS = {"smtplib-lf": smtplib_lf, "netsmtp": netsmtp, "git": git_send_email, "emailjs": emailjs, "phpmailer": phpmailer,
           "ruby": ruby_mail, "django": django, "http": over_http}
