"""What a measurement runs in: a folder with configuration, people and vault, and the processes on free ports."""

import csv
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import content

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELAY = ROOT / "target/release/tokenrelay"
TICK = os.sysconf("SC_CLK_TCK")
COLUMNS = ["email", "phone", "first_name", "last_name", "city", "street", "birthday", "locale", "customer_id"]


class Wrong(Exception):
    """Something was lost or changed: no figure may be printed."""


def find(tool):
    return shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a running process, by its own clock (clock_getcpuclockid(3)): to the nanosecond, where
    /proc tells ticks of 10 ms."""
    return time.clock_gettime((~pid << 3) | 2)


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class House:
    def __init__(self, folder, people):
        self.folder, self.people, self.running = folder, people, []
        self.sink = self.relay = None
        self.sink_port, self.http_port, self.smtp_port = free_port(), free_port(), free_port()
        self.relayed = 0

    def build(self):
        """Keys, certificates, templates, people; the vault takes the longest. Gives imported people a second."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        subprocess.run([RELAY, "init", self.folder], check=True, stdout=subprocess.DEVNULL)
        content.write_templates(self.folder)
        self.configure()
        self.write_people()
        started = time.monotonic()
        subprocess.run([RELAY, "vault", "import", self.folder / "bench-people.csv", "--tokens-out", self.folder / "tokens.csv",
                        "--tokens-with", "customer_id", "-c", self.config()], check=True, stdout=subprocess.DEVNULL)
        rate = self.people / (time.monotonic() - started)
        with (self.folder / "tokens.csv").open() as file:
            self.tokens = [row["email_token"] for row in csv.DictReader(file)]
        if len(self.tokens) != self.people:
            raise Wrong(f"{len(self.tokens)} tokens for {self.people} people")
        return rate

    def config(self):
        return self.folder / "bench.toml"

    def configure(self, target="", port=None, accept="handoff"):
        """The configuration of `init`, cut down; `target` holds more keys of the one target."""
        listener = f'cert = "certs/relay.pem"\nkey = "file:certs/relay.key"\naccept = "{accept}"\ntoken_domains = ["tokens.example"]\n'
        self.config().write_text(
            'state_dir = "state"\n[vault]\nkey = "file:keys/vault.key"\n[cache]\nmax_bytes = "64MiB"\n[templates]\ndir = "templates"\n'
            f'[[listener]]\nkind = "smtp"\nbind = "127.0.0.1:{self.smtp_port}"\ntls = "starttls"\n{listener}'
            f'[[listener]]\nkind = "http"\nbind = "127.0.0.1:{self.http_port}"\ntls = "implicit"\n{listener}'
            f'[[target]]\nname = "mta1"\nhost = "127.0.0.1"\nport = {port or self.sink_port}\ntls = "starttls"\nca = "certs/ca.pem"\n{target}'
            '[[engine]]\nname = "campaigns"\nsecret = "file:keys/campaigns.secret"\ntemplates = ["*"]\nfields = ["*"]\n'
            'purposes = ["marketing", "service"]\n[journal]\nretry_first = "5s"\n')

    def write_people(self):
        with (self.folder / "bench-people.csv").open("w", newline="") as people, (self.folder / "proofs.csv").open("w") as proofs:
            rows = csv.writer(people)
            rows.writerow(COLUMNS)
            for n in range(self.people):
                person = {"email": f"person{n}@people.test", "phone": f"+49151{n:08}", "first_name": f"Name{n:07}", "last_name": f"Family{n}",
                          "city": f"Springfield{n % 977}", "street": f"{n} Long Street", "birthday": "1980-01-02", "locale": "en",
                          "customer_id": f"c{n}"}
                rows.writerow(person[column] for column in COLUMNS)
                proof = hashlib.sha256(content.proof(person).encode()).hexdigest()[:16]
                proofs.write(f"{person['email']},{proof}\n")

    def tokens_file(self, start, count):
        """Tokens of some people only, for the generator."""
        path = self.folder / f"tokens-{start}-{count}.csv"
        if not path.exists():
            path.write_text("email_token\n" + "\n".join(self.tokens[start:start + count]) + "\n")
        return path

    def start(self, *command):
        log = self.folder / f"{len(self.running)}.log"
        process = subprocess.Popen([str(word) for word in command], stdout=log.open("w"), stderr=subprocess.STDOUT)
        process.log = log
        self.running.append(process)
        return process

    def wait_port(self, port, process):
        for _ in range(1200):
            if process.poll() is not None:
                raise Wrong(f"{process.args[:2]} ended: {process.log.read_text()[-500:]}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise Wrong(f"nothing listens on {port}")

    def start_sink(self, *more):
        sink = self.start(RELAY, "sink", "--listen", f"127.0.0.1:{self.sink_port}", "--tls", "starttls", "--json",
                          "--cert", self.folder / "certs/mta1.pem", "--key", self.folder / "certs/mta1.key", *more)
        self.wait_port(self.sink_port, sink)
        return sink

    def open(self, *sink_options):
        self.sink = self.start_sink(*(sink_options or ["--verify", self.folder / "proofs.csv"]))
        self.relay = self.start(RELAY, "serve", "-c", self.config())
        self.wait_port(self.http_port, self.relay)
        self.relayed = 0

    def close(self):
        """Stops relay and sink, and holds what the sink counted against what was said to be relayed."""
        self.end(self.relay, signal.SIGTERM)
        stats = self.end_sink(self.sink)
        if stats["messages"] != self.relayed:
            raise Wrong(f"{self.relayed} jobs were answered 'relayed', {stats['messages']} messages arrived")
        proofs = stats.get("proofs")
        if proofs and (proofs["wrong"] or proofs["verified"] != self.relayed):
            raise Wrong(f"{proofs['wrong']} of {stats['messages']} messages are not what their recipients should get")
        return stats

    def end_sink(self, sink):
        self.end(sink, signal.SIGINT)
        for line in sink.log.read_text().splitlines():
            if '"octets"' in line:
                return json.loads(line)
        raise Wrong(f"the sink did not say what it counted: {sink.log.read_text()[-500:]}")

    def end(self, process, how=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Wrong(f"{process.args[:2]} did not stop") from None
        finally:
            self.running = [other for other in self.running if other is not process]

    def abandon(self):
        for process in self.running:
            process.kill()
            process.wait()
        self.running = []

    def load(self, door, tokens, *more):
        """Runs the load generator; every job has to be relayed. Its report, with the relay's and the sink's CPU."""
        before = [cpu_seconds(process.pid) for process in (self.relay, self.sink)]
        run = subprocess.run([str(word) for word in (RELAY, "load", "--door", door, "-c", self.config(), "--tokens", tokens,
                                                     "--purpose", "service", "--json", *more)], stdout=subprocess.PIPE, check=True, timeout=3600)
        report = json.loads(run.stdout)
        if report["failed"] or not report["relayed"]:
            raise Wrong(f"{report['failed']} of {report['planned']} jobs not relayed: {report['outcomes']}")
        count = report["relayed"]
        self.relayed += count
        after = [cpu_seconds(process.pid) for process in (self.relay, self.sink)]
        report["relay_us"], report["sink_us"] = ((late - early) / count * 1e6 for early, late in zip(before, after))
        return report

    def load_http(self, tokens, *more, template="bench"):
        return self.load("http", tokens, "--template", template, "--data", '{"order":"A-1"}', *more)

    def load_smtp(self, tokens, *more, connections=50):
        return self.load("smtp", tokens, "--message", self.folder / "message.eml", "--connections", connections, *more)

    def peer(self, count, octets, sessions=50):
        """smtp-source on kept connections (-d): without it every message would pay for a connection."""
        port = free_port()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        sink = self.start(find("smtp-sink"), *user, f"127.0.0.1:{port}", "1000")
        self.wait_port(port, sink)
        started = time.monotonic()
        source = subprocess.Popen([find("smtp-source"), "-d", "-s", str(sessions), "-l", str(octets), "-m", str(count),
                                   "-f", "a@brand.example", "-t", "b@people.test", f"127.0.0.1:{port}"])
        _, status, usage = os.wait4(source.pid, 0)
        seconds = time.monotonic() - started
        source.returncode = status
        self.end(sink)
        if status:
            raise Wrong("smtp-source failed")
        return {"us": (usage.ru_utime + usage.ru_stime) / count * 1e6, "per_second": count / seconds}
