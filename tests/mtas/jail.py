"""A Debian package's daemon with a root folder of its own: unpacked, never installed, since Debian's MTAs exclude each other.

Package and libraries come from one fixed release, so that every machine has the same ones whatever it runs, through an apt of
our own (its lists, its cache) that leaves the machine's alone. They are fetched once and kept below target/tmp; remove that
folder for newer ones. Needs root for chroot, and Debian's or Ubuntu's apt.
"""

import os
import shutil
import signal
import stat
import subprocess
import threading
from pathlib import Path

# Debian 12's OpenSMTPD 6.8 cannot speak TLS: it is not made for the OpenSSL 3 that it is linked to.
RELEASE = "trixie"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CACHE = Path(__file__).resolve().parents[2] / "target" / "tmp" / f"mtas-{RELEASE}"
STOP_SECONDS_MAX = 20
USERS = {"root": 0, "mail": 8, "opensmtpd": 901, "opensmtpq": 902, "Debian-exim": 903, "vmail": 904, "nobody": 65534}
DEVICES = {"null": (1, 3), "zero": (1, 5), "urandom": (1, 9)}
# Setups run side by side.
fetching = threading.Lock()
UNUSED = ("doc", "man", "locale", "info", "lintian", "gcc", "perl", "perl5")


class JailError(Exception):
    """The daemon could not be fetched or started; the text says why."""


class NoJail(JailError):
    """This machine cannot have one at all."""


class Jail:
    """`root` is a folder that the daemon takes for the whole machine."""

    def __init__(self, package, root):
        self.package, self.root, self.process = package, root, None

    def log(self):
        path = self.root / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def build(self):
        if os.geteuid() != 0:
            raise NoJail("chroot needs root")
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise NoJail("there is no apt-get or dpkg-deb to fetch the package with")
        shutil.copytree(fetch(self.package), self.root, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*UNUSED))
        for name in ("bin", "sbin", "lib", "lib64"):
            if not (self.root / name).exists():
                (self.root / name).symlink_to(f"usr/{name}")
        for name in ("dev", "tmp", "run", "var"):
            (self.root / name).mkdir(exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        if not (self.root / "var" / "run").exists():
            (self.root / "var" / "run").symlink_to("/run")
        for name, numbers in DEVICES.items():
            make_device(self.root / "dev" / name, numbers)
        self.write("etc/passwd", "".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in USERS.items()))
        self.write("etc/group", "".join(f"{name}:x:{uid}:\n" for name, uid in USERS.items()))
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\n")
        self.write("etc/hosts", "127.0.0.1 localhost\n")
        self.write("etc/services", "smtp 25/tcp\nsubmission 587/tcp\nsubmissions 465/tcp\n")

    def write(self, path, text, owner="root", mode=0o644):
        there = self.root / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text)
        there.chmod(mode)
        os.chown(there, USERS[owner], USERS[owner])
        return there

    def folder(self, path, owner="root", mode=0o755):
        there = self.root / path
        there.mkdir(parents=True, exist_ok=True)
        there.chmod(mode)
        os.chown(there, USERS[owner], USERS[owner])
        return there

    def start(self, *words, user="root"):
        with (self.root / "daemon.log").open("w") as log:
            self.process = subprocess.Popen(["chroot", f"--userspec={USERS[user]}:{USERS[user]}", self.root, *words],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def stop(self):
        """Ends the daemon, and whatever it has left in its process group."""
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None


def fetch(package):
    """The package and its libraries unpacked, in a folder that is kept."""
    with fetching:
        return fetch_alone(package)


def fetch_alone(package):
    folder = CACHE / package
    if not folder.exists():
        apt = Apt(CACHE / "apt")
        apt.update()
        building = CACHE / f"{package}.new"
        shutil.rmtree(building, ignore_errors=True)
        archives = building / "archives"
        archives.mkdir(parents=True)
        apt.run("download", package, "dash", *apt.libraries(package), cwd=archives)
        for archive in archives.glob("*.deb"):
            command("dpkg-deb", "-x", archive, building)
        shutil.rmtree(archives)
        for path in building.rglob("*"):
            if path.is_file() and not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o755)  # no set-user-id program of root lies about
        building.rename(folder)
    return folder


class Apt:
    """apt-get with lists and a cache of its own, for a machine on which nothing is installed."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        signed = f" [signed-by={KEYRING}]" if Path(KEYRING).exists() else ""
        (folder / "sources.list").write_text(f"deb{signed} {MIRROR} {RELEASE} main\n")
        settings = {
            "Dir::Etc::SourceList": folder / "sources.list", "Dir::Etc::SourceParts": "/dev/null", "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null", "Dir::State::Lists": folder / "lists", "Dir::State::status": "/dev/null",
            "Dir::Cache": folder / "cache", "APT::Sandbox::User": "root", "Acquire::Languages": "none", "Acquire::Retries": "3",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        }
        self.words = ["apt-get", "-qq", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]

    def run(self, *words, cwd=None):
        return command(*self.words, *words, cwd=cwd)

    def update(self):
        self.run("update")

    def libraries(self, package):
        planned = self.run("install", "--simulate", "--no-install-recommends", package)
        names = [line.split()[1] for line in planned.splitlines() if line.startswith("Inst ")]
        return [name for name in names if name.startswith("lib") and "perl" not in name or name == "zlib1g"]


def make_device(path, numbers):
    """A plain file will do where devices are not allowed: nothing is read back from it."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(*numbers))
        path.open("r").close()
    except OSError:
        path.unlink(missing_ok=True)
        path.touch()
    path.chmod(0o666)


def command(*words, cwd=None):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=cwd, stdin=subprocess.DEVNULL,
                          env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode != 0:
        raise JailError(f"{words[0]} {words[-1]} failed: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout
