"""Haraka and smtp-server, first MTAs that are written for Node. Fetched once, as package-lock.json has them, and kept below target/tmp."""

import json
import os
import platform
import shutil
import subprocess
import threading
from pathlib import Path

from first_mta import FirstMta, MtaError, make_certificates

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / "target" / "tmp"
# Where the machine's Node is older than both ask for (Debian 12 has 18), this one comes from npm as well.
NODE_MIN, NODE = 20, "20.20.2"
STOP_SECONDS_MAX = 20
fetching = threading.Lock()  # setups run side by side


class NodeMta(FirstMta):
    """A process of Node, and a folder for what it takes."""

    process = None

    @property
    def mailbox(self):
        return self.folder / "mail" / "new"

    def log(self):
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def prepare(self):
        for name in ("tls", "mail/new", "mail/tmp"):
            (self.folder / name).mkdir(parents=True)
        make_certificates(self.folder / "tls")

    def spawn(self, *words, told=None):
        program, packages = fetched()
        environment = {**os.environ, "NODE_PATH": str(packages)}
        with (self.folder / "daemon.log").open("w") as log:
            self.process = subprocess.Popen([program, *words], stdin=subprocess.PIPE if told else subprocess.DEVNULL, stdout=log, stderr=log,
                                            text=True, cwd=self.folder, env=environment)
        if told:
            self.process.stdin.write(json.dumps(told) + "\n")
            self.process.stdin.flush()

    def stop(self):
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Haraka(NodeMta):
    """As it is shipped, with STARTTLS, a password and a plugin that keeps what it takes. It answers 503 to whatever stands behind
    the end of a message before it has answered that. `settings` are further lines of its files: connection_ini="..."."""

    def __init__(self, **settings):
        super().__init__()
        self.settings = settings

    def start(self):
        self.prepare()
        shipped = fetched()[1] / "Haraka"
        files = {
            "smtp.ini": f"listen=127.0.0.1:{self.port},127.0.0.1:{self.port_tls}\nsmtps_port={self.port_tls}\nnodes=0\n",
            "plugins": "tls\nauth/flat_file\nmailbox\n",
            "tls.ini": f"key={self.folder}/tls/server.key\ncert={self.folder}/tls/server.pem\n",
            "auth_flat_file.ini": f"[core]\nmethods=PLAIN,LOGIN\nconstrain_sender=false\n[users]\n{self.user}={self.password}\n",
            "log.ini": "level=notice\n",
            "me": "mx.relay.test\n",
            "mailbox": f"{self.folder}/mail\n",
        }
        shutil.copytree(shipped / "config", self.folder / "config")
        for name, text in files.items():
            (self.folder / "config" / name).write_text(text)
        for name, text in self.settings.items():
            with (self.folder / "config" / name.replace("_ini", ".ini")).open("a") as file:
                file.write(text)
        (self.folder / "plugins").mkdir()
        shutil.copy(HERE / "haraka" / "mailbox.js", self.folder / "plugins")
        self.spawn(shipped / "bin" / "haraka", "-c", self.folder)


class SmtpServer(NodeMta):
    """`options` are those of smtp-server itself."""

    def __init__(self, **options):
        super().__init__()
        self.options = options
        self.takes_utf8_addresses = not options.get("hideSMTPUTF8")

    def start(self):
        self.prepare()
        tls = self.folder / "tls"
        self.spawn(HERE / "smtp_server.mjs", told={
            "port": self.port, "port_tls": self.port_tls, "cert": str(tls / "server.pem"), "key": str(tls / "server.key"),
            "user": self.user, "password": self.password, "mailbox": str(self.folder / "mail"), "options": self.options})


def fetched():
    """(program, packages): a Node that is new enough, and where its packages are. Fetched once."""
    with fetching:
        return node(), node_packages()


def node():
    own = shutil.which("node")
    if own:
        version = subprocess.run([own, "--version"], capture_output=True, text=True).stdout
        if int(version.strip().lstrip("v").split(".")[0]) >= NODE_MIN:
            return own
    package = f"node-linux-{'arm64' if platform.machine() in ('aarch64', 'arm64') else 'x64'}"
    folder = CACHE / f"mtas-node-{NODE}"
    program = folder / "node_modules" / package / "bin" / "node"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm(folder, "install", "--no-save", f"{package}@{NODE}")
    return str(program)


def node_packages():
    folder = CACHE / "mtas-npm"
    stamp = folder / "complete"
    wanted = (HERE / "package-lock.json").read_text()
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        # Its optional packages are plugins that ask the network about strangers.
        npm(folder, "ci", "--omit=optional")
        stamp.write_text(wanted)
    return folder / "node_modules"


def npm(folder, *words):
    done = subprocess.run(["npm", *words, "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                          capture_output=True, text=True, cwd=folder)
    if done.returncode != 0:
        raise MtaError(f"npm {words[0]} failed: {done.stderr[-800:]}")
