"""A relay of its own with a first MTA behind it, for a test that comes from outside: one folder, everything on
loopback, and removed at the end.

    with Lab(PATH-OF-TOKENRELAY, people=[...]) as lab:
        lab.smtp_port, lab.secret, lab.people[0]["token"] ... lab.arrived()
"""

import csv
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

USER = "campaigns"
DOMAIN = "tokens.example"
START_SECONDS_MAX = 30

CONFIG = """\
state_dir = "state"
[vault]
key = "file:keys/vault.key"
[templates]
dir = "templates"
[limits]
{limits}
{listeners}
[[target]]
name = "mta1"
host = "127.0.0.1"
port = {target_port}
tls = "{target_tls}"
ca = "{target_ca}"
{target_extra}
[[engine]]
name = "campaigns"
secret = "file:keys/campaigns.secret"
templates = ["*"]
fields = ["*"]
purposes = ["marketing", "service"]
purpose_default = "service"
{more}
"""

LISTENER = """\
[[listener]]
kind = "{kind}"
bind = "{bind}"
tls = "{tls}"
token_domains = ["tokens.example"]
"""
IDENTITY = 'cert = "certs/relay.pem"\nkey = "file:certs/relay.key"\n'


class LabError(Exception):
    """The relay or what it needs could not be started; the text says why."""


class Lab:
    """A relay with an SMTP door (STARTTLS), one with implicit TLS, and `doors` beside them: (kind, bind, tls, further lines).

    `target` is the facts of a first MTA (see postfix.py), which may hold its "tls" and further "lines" of its table; without it
    there is a sink that dumps every message. `more` are further tables of the configuration."""

    def __init__(self, binary, people, target=None, doors=(), limits=None, *, accept="handoff", more=""):
        self.binary = Path(binary).resolve()
        self.accept, self.more = accept, more
        self.people, self.target, self.doors, self.limits = people, target, doors, limits or {}
        self.folder = Path(tempfile.mkdtemp(prefix="tokenrelay-lab-"))
        self.folder.chmod(0o755)
        self.dump = self.folder / "dump"
        self.smtp_port, self.smtps_port = free_ports(2)
        self.processes = []

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    @property
    def ca(self):
        return self.folder / "certs" / "ca.pem"

    @property
    def secret(self):
        return (self.folder / "keys" / "campaigns.secret").read_text().strip()

    @property
    def log(self):
        return (self.folder / "serve.log").read_text(errors="replace")

    def tls(self):
        return ssl.create_default_context(cafile=self.ca)

    def address(self, person):
        return f"{person['token']}@{DOMAIN}"

    def start(self):
        self.call("init", self.folder)
        self.target = self.target or self.start_sink()
        self.configure()
        self.import_people()
        self.relay = self.spawn("serve", "serve", "-c", self.folder / "tokenrelay.toml")
        for port in (self.smtp_port, self.smtps_port):
            wait_port(port, self.relay, lambda: self.log)
        return self

    def stop(self):
        """Ends what was started, the relay first, and says whether the relay went in peace."""
        codes = []
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT if process is not self.processes[-1] else signal.SIGTERM)
            try:
                codes.append(process.wait(60))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append(process.wait())
        self.processes = []
        if os.environ.get("KEEP_LAB"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return codes[:1] == [0]

    def start_sink(self):
        certs = self.folder / "certs"
        sink = self.spawn("sink", "sink", "--listen", "127.0.0.1:0", "--tls", "starttls", "--cert", certs / "mta1.pem",
                          "--key", certs / "mta1.key", "--dump", self.dump, "--json")
        line = first_line(self.folder / "sink.log", sink)
        return {"port": int(json.loads(line)["listening"].rsplit(":", 1)[1]), "ca": "certs/ca.pem"}

    def configure(self):
        extra = ""
        if "password" in self.target:
            password = self.folder / "keys" / "mta1.pass"
            password.touch(mode=0o600)
            password.write_text(self.target["password"])
            extra = f'auth = {{ user = "{self.target["user"]}", password = "file:keys/mta1.pass" }}\n'
        listeners = [("smtp", f"127.0.0.1:{self.smtp_port}", "starttls", IDENTITY),
                     ("smtp", f"127.0.0.1:{self.smtps_port}", "implicit", IDENTITY), *self.doors]
        config = CONFIG.format(
            limits="\n".join(f"{key} = {json.dumps(value)}" for key, value in self.limits.items()),
            listeners="".join(LISTENER.format(kind=kind, bind=bind, tls=tls) + ("" if "accept =" in more else f'accept = "{self.accept}"\n') + more
                              for kind, bind, tls, more in listeners),
            target_port=self.target["port"], target_tls=self.target.get("tls", "starttls"), target_ca=self.target["ca"],
            target_extra=extra + self.target.get("lines", ""), more=self.more)
        (self.folder / "tokenrelay.toml").write_text(config)

    def import_people(self):
        file, tokens = self.folder / "people.csv", self.folder / "tokens.csv"
        with file.open("w", newline="", encoding="utf-8") as opened:
            rows = csv.DictWriter(opened, fieldnames=list(self.people[0]))
            rows.writeheader()
            rows.writerows(self.people)
        self.call("vault", "import", file, "--tokens-out", tokens, "--tokens-with", "customer_id",
                  "-c", self.folder / "tokenrelay.toml")
        with tokens.open() as opened:
            by_customer = {row["customer_id"]: row["email_token"] for row in csv.DictReader(opened)}
        self.people = [{**person, "token": by_customer[person["customer_id"]]} for person in self.people]
        file.unlink()

    def call(self, *words):
        done = subprocess.run([self.binary, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise LabError(f"tokenrelay {words[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def spawn(self, name, *words):
        log = (self.folder / f"{name}.log").open("w")
        process = subprocess.Popen([self.binary, *map(str, words)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def arrived(self):
        """What reached the sink: envelope and content of each message, in order."""
        found = []
        for envelope in sorted(self.dump.glob("*.json")):
            found.append((json.loads(envelope.read_text()), envelope.with_suffix(".eml").read_bytes()))
        return found


def lmtp_doors(binary):
    """The LMTP doors to open, or none and why."""
    [port] = free_ports(1)
    folder = Path(tempfile.mkdtemp(prefix="tokenrelay-lmtp-"))
    folder.chmod(0o755)
    path = folder / "lmtp"
    doors = [("lmtp", f"127.0.0.1:{port}", "starttls", IDENTITY), ("lmtp", f"unix:{path}", "none", 'engine = "campaigns"\n')]
    probe = Lab(binary, [{"customer_id": "x", "email": "x@people.test"}], target={"port": 1, "ca": "certs/ca.pem"}, doors=doors)
    probe.call("init", probe.folder)
    probe.configure()
    said = subprocess.run([binary, "check", "--offline", "-c", probe.folder / "tokenrelay.toml"], capture_output=True, text=True)
    probe.stop()
    told = said.stdout + said.stderr
    if "not available in this version" in told:
        print("lmtp: skipped:", next(line.strip() for line in told.splitlines() if "lmtp" in line))
        shutil.rmtree(folder)
        return [], None
    return doors, {"port": port, "path": path}


def first_line(path, process):
    """The first line of a log that a process is about to write."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        text = path.read_text()
        if "\n" in text:
            return text.splitlines()[0]
        time.sleep(0.02)
    raise LabError(f"nothing in {path.name}: {path.read_text()}")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_port(port, process, log):
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LabError(f"the process ended with {process.returncode}:\n{log()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise LabError(f"nothing listens on port {port}:\n{log()}")


def environment(requirements):
    """A Python with these requirements, made once and kept until the file changes. Gives its interpreter."""
    requirements = Path(requirements).resolve()
    folder = requirements.parents[2] / "target" / "tmp" / f"venv-{requirements.parent.name}"
    stamp = folder / "requirements.txt"
    if not (stamp.exists() and stamp.read_text() == requirements.read_text()):
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check",
                               "-r", requirements], capture_output=True, text=True)
        if done.returncode != 0:
            raise LabError(f"pip failed: {done.stderr[-800:]}")
        stamp.write_text(requirements.read_text())
    return folder / "bin" / "python"


def npm_package(name, version):
    """The folder that holds a package of Node's, installed once and kept until its version changes."""
    folder = Path(__file__).resolve().parents[2] / "target" / "tmp" / f"{name}-{version}"
    if not (folder / "node_modules" / name / "package.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--no-save", "--ignore-scripts",
                               f"{name}@{version}"], capture_output=True, text=True)
        if done.returncode != 0:
            raise LabError(f"npm failed: {done.stderr[-800:]}")
    return folder / "node_modules"
