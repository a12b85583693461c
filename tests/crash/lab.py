"""A relay that is meant to die, with first MTAs that live on: one folder, everything on loopback, removed at the end.

    with Lab(BINARY, seed=7, journal={"unknown": "hold"}, targets={"mta1": "slow=2"}) as lab:
        lab.start(); lab.kill(); lab.start(); ... lab.arrivals()

Doors and targets speak in clear, so that what leaves can be read from outside. Every field of everybody is a marker:
random letters that occur nowhere else, so that one found in a file is a leak and no accident.
"""

import csv
import http.client
import json
import os
import random
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
from relay import LabError, first_line, free_ports, wait_port  # noqa: E402

ENGINE = "campaigns"
DOMAIN = "tokens.example"
SENDER = "news@brand.example"
PEOPLE = 200
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
FIELDS = ("email", "first_name", "last_name", "street", "city", "balance", "customer_id")

CONFIG = """\
state_dir = {state_dir}
[vault]
key = {vault_key}
[cache]
ttl = {cache_ttl}
[templates]
dir = "templates"
[limits]
{limits}
[journal]
{journal}
[log]
level = "info"
{listeners}
{targets}
[[engine]]
name = "campaigns"
secret = "file:keys/campaigns.secret"
templates = ["*"]
fields = ["*"]
purposes = ["marketing", "service"]
purpose_default = "service"
"""

LISTENER = """\
[[listener]]
kind = "{kind}"
bind = "127.0.0.1:{port}"
tls = "none"
accept = "{accept}"
token_domains = ["tokens.example"]
"""

TARGET = """\
[[target]]
name = "{name}"
host = "127.0.0.1"
port = {port}
tls = "none"
reply_timeout = "5s"
final_dot_timeout = "5s"
connect_timeout = "2s"
connections_max = {connections}
"""


class Lab:
    def __init__(self, binary, seed, accept="journal", journal=None, limits=None, targets=None, connections=16):
        self.binary = Path(binary).resolve()
        self.accept, self.journal, self.limits = accept, journal or {}, {"handoff_wait": "2s", **(limits or {})}
        self.folder = Path(tempfile.mkdtemp(prefix="tokenrelay-crash-"))
        self.config = self.folder / "tokenrelay.toml"
        self.state = self.folder / "state"
        self.vault_key = "file:keys/vault.key"
        self.cache_ttl = "5m"
        self.profiles = targets or {"mta1": "accept"}
        self.connections = connections if isinstance(connections, dict) else {name: connections for name in self.profiles}
        names = ["http", "smtp", *self.profiles]
        self.ports = dict(zip(names, free_ports(len(names))))
        self.relay, self.sinks, self.starts = None, {}, 0
        self.people = invent(random.Random(seed))

    def __enter__(self):
        try:
            self.call("init", self.folder)
            (self.folder / "tmp").mkdir()
            (self.folder / "people.csv").unlink()
            self.configure()
            self.import_people()
            for name in self.profiles:
                self.open_sink(name)
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.kill()
        for name in list(self.sinks):
            self.close_sink(name)
        if os.environ.get("KEEP_LAB"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- What it is made of ------------------------------------------------------------------------------------------

    @property
    def secret(self):
        return (self.folder / "keys" / "campaigns.secret").read_text().strip()

    @property
    def journal_dir(self):
        return self.state / "journal"

    @property
    def database(self):
        return self.journal_dir / "journal.db"

    def log(self):
        return (self.folder / "serve.log").read_text(errors="replace")

    def configure(self):
        def lines(table):
            return "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())

        self.config.write_text(CONFIG.format(
            state_dir=json.dumps(str(self.state)), vault_key=json.dumps(self.vault_key), cache_ttl=json.dumps(self.cache_ttl),
            limits=lines(self.limits), journal=lines(self.journal),
            listeners="".join(LISTENER.format(kind=kind, port=self.ports[kind], accept=self.accept) for kind in ("http", "smtp")),
            targets="".join(TARGET.format(name=name, port=self.ports[name], connections=self.connections[name])
                            for name in self.profiles)))

    def import_people(self):
        file, tokens = self.folder / "import.csv", self.folder / "tokens.csv"
        with file.open("w", newline="", encoding="utf-8") as opened:
            rows = csv.DictWriter(opened, fieldnames=[*FIELDS, "consent"])
            rows.writeheader()
            rows.writerows({**person, "consent": "service marketing"} for person in self.people)
        self.call("vault", "import", file, "--tokens-out", tokens, "--tokens-with", "customer_id", "-c", self.config)
        with tokens.open() as opened:
            by_customer = {row["customer_id"]: row["email_token"] for row in csv.DictReader(opened)}
        for person in self.people:
            person["address"] = f"{by_customer[person['customer_id']]}@{DOMAIN}"
        # The clear copies are ours, not the relay's.
        file.unlink()
        tokens.unlink()

    def change_people(self, numbers, column, value):
        """Beside a running relay, as an operator would."""
        file = self.folder / "change.csv"
        with file.open("w", newline="", encoding="utf-8") as opened:
            rows = csv.writer(opened)
            rows.writerow(["email", column])
            rows.writerows([self.people[number]["email"], value] for number in numbers)
        self.call("vault", "import", file, "-c", self.config)
        file.unlink()

    def call(self, *words, codes=(0,)):
        done = subprocess.run([self.binary, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode not in codes:
            raise LabError(f"tokenrelay {' '.join(map(str, words[:3]))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    # ---- The relay ---------------------------------------------------------------------------------------------------

    def start(self, before=(), environment=None, wait=True):
        """`before` stands in front of the command (strace ...)."""
        with (self.folder / "serve.log").open("a") as log:
            self.relay = subprocess.Popen([*map(str, before), self.binary, "serve", "-c", self.config], stdout=log, stderr=log,
                                          stdin=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(self.folder / "tmp"), **(environment or {})})
        self.starts += 1
        if wait:
            self.wait_doors()

    def wait_doors(self):
        for door in ("http", "smtp"):
            wait_port(self.ports[door], self.relay, self.log)

    def pid(self):
        """Of the relay itself, also when something stands in front of it."""
        children = Path(f"/proc/{self.relay.pid}/task/{self.relay.pid}/children").read_text().split()
        is_itself = self.relay.args[0] == self.binary
        return self.relay.pid if is_itself or not children else int(children[0])

    def kill(self):
        """As a power cut would, as far as the process can tell."""
        if self.relay and self.relay.poll() is None:
            pid = self.pid()
            os.kill(pid, signal.SIGKILL)
            try:
                self.relay.wait(10)
            except subprocess.TimeoutExpired:
                self.relay.kill()
                self.relay.wait()
        self.relay = None

    def stop(self):
        """In peace; gives what is wrong with that."""
        os.kill(self.pid(), signal.SIGTERM)
        try:
            code = self.relay.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return [f"the relay did not end within {STOP_SECONDS_MAX} s"]
        self.relay = None
        return [] if code == 0 else [f"the relay ended with {code}"]

    def resident_kib(self):
        status = Path(f"/proc/{self.pid()}/status").read_text()
        return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)

    def get(self, path, accept=None):
        """Status and body of an answer of the HTTP door."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=20)
        try:
            headers = {"Authorization": f"Bearer {self.secret}", **({"Accept": accept} if accept else {})}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    # ---- The first MTAs ----------------------------------------------------------------------------------------------

    def record(self, name):
        return self.folder / f"arrived-{name}.ndjson"

    def open_sink(self, name):
        log = self.folder / f"sink-{name}.log"
        with log.open("w") as opened:
            sink = subprocess.Popen([self.binary, "sink", "--listen", f"127.0.0.1:{self.ports[name]}", "--record", self.record(name),
                                     *self.sink_options(name), "--json"], stdout=opened, stderr=opened, stdin=subprocess.DEVNULL)
        self.sinks[name] = sink
        first_line(log, sink)

    def sink_options(self, name):
        return ["--profile", self.profiles[name]]

    def close_sink(self, name):
        sink = self.sinks.pop(name)
        sink.kill()
        sink.wait()

    def arrivals(self, name=None):
        """Lines of the sinks' records, with the job's send number."""
        found = []
        for target in [name] if name else self.profiles:
            if not self.record(target).exists():
                continue
            for line in self.record(target).read_text().splitlines():
                arrival = json.loads(line)
                arrival["send"] = arrival["id"].strip("<>").split("@")[0]
                arrival["target"] = target
                found.append(arrival)
        return found

    # ---- What must not be in any file --------------------------------------------------------------------------------

    def leaks(self):
        """Values of people in the relay's files and in what it has logged, in every form they are likely to take."""
        values = self.folder / "values.txt"
        values.write_text("".join(f"{person[field]}\n" for person in self.people for field in FIELDS))
        finder = self.binary.parent / "examples" / "leaks"
        if not finder.exists():
            raise LabError(f"{finder} is missing: cargo build --profile tested --example leaks")
        places = [self.state, self.folder / "tmp", self.folder / "serve.log"]
        done = subprocess.run([finder, values, *places], capture_output=True, text=True)
        values.unlink()
        if done.returncode not in (0, 1):
            raise LabError(f"the search for personal values failed: {done.stderr}")
        return done.stdout.splitlines()


def invent(dice):
    def letters():
        return "".join(dice.choice(string.ascii_lowercase) for _ in range(14))

    return [{"email": f"{letters()}@{letters()}.test", **{field: letters() for field in FIELDS if field != "email"}} for _ in range(PEOPLE)]


def until(holds, seconds, what):
    """Waits for something that has to come about."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return [f"after {seconds} s it is not so that {what}"]
        time.sleep(0.05)
    return []
