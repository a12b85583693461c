"""Faults from outside: errors injected into system calls of a running relay, and a file system with little room."""

import os
import shutil
import signal
import subprocess

from cases import Skip
from lab import LabError, until

SMALL_MIB = 48
SICK_MIB = 160


def need_root(why):
    if os.geteuid() != 0:
        raise Skip(f"not root: {why}")


class Fault:
    """Errors injected into calls on the journal's files while it runs; goes when this goes."""

    def __init__(self, lab, calls, error, when="1+", names=("journal.db-wal",)):
        need_root("a relay lets nobody look into its memory, strace neither")
        self.lab, self.log = lab, lab.folder / "injected"
        self.log.write_text("")
        paths = [word for name in names for word in ("-P", str(lab.journal_dir / name))]
        self.command = ["strace", "-f", "-q", "-o", str(self.log), "-p", str(lab.pid()), *paths, "-e", f"trace={calls}",
                        "-e", f"inject={calls}:error={error}:when={when}"]

    def __enter__(self):
        self.strace = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # Until every thread is held by it.
        tasks = f"/proc/{self.lab.pid()}/task"
        problems = until(lambda: all(traced(f"{tasks}/{task}/status") for task in os.listdir(tasks)), 20, "strace has attached")
        if problems:
            self.__exit__()
            raise LabError(problems[0] + (self.strace.stderr.read().decode() if self.strace.poll() else ""))
        return self

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        try:
            self.strace.wait(10)
        except subprocess.TimeoutExpired:
            self.strace.kill()
            self.strace.wait()

    def count(self):
        return self.log.read_text(errors="replace").count("(INJECTED)")


def traced(status):
    try:
        with open(status, encoding="ascii") as lines:
            return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in lines)
    except FileNotFoundError:
        return True


class SmallDisk:
    """The journal's folder, or another, as a file system of its own."""

    def __init__(self, lab, options=f"size={SMALL_MIB}m", folder=None):
        need_root("a file system of its own has to be mounted")
        self.dir, self.options = folder or lab.journal_dir, options

    def __enter__(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"{self.options},mode=0700", "tmpfs", self.dir], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.dir], check=False)

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.dir], check=True)

    def free(self):
        return shutil.disk_usage(self.dir).free


class SickDisk:
    """The journal's folder on an ext4 of its own, in a file, which can be made to fail."""

    def __init__(self, lab):
        need_root("a file system of its own has to be mounted")
        self.dir, self.image = lab.journal_dir, lab.folder / "disk.img"

    def __enter__(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        with self.image.open("wb") as image:
            image.truncate(SICK_MIB << 20)
        self.run("mkfs.ext4", "-q", self.image)
        self.mount()
        self.dir.chmod(0o700)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.dir], check=False)

    def mount(self):
        self.run("mount", "-o", "loop,errors=remount-ro", self.image, self.dir)
        found = subprocess.run(["findmnt", "-no", "SOURCE", self.dir], capture_output=True, text=True).stdout.strip()
        self.trigger = f"/sys/fs/ext4/{os.path.basename(found)}/trigger_fs_error"

    def fail(self):
        """As after an error that the file system finds in itself: from here on it is read-only."""
        try:
            with open(self.trigger, "w", encoding="ascii") as trigger:
                trigger.write("1")
        except OSError as wrong:
            raise Skip(f"this system lets no file system fail on request: {wrong}") from wrong

    def repair(self):
        self.run("umount", self.dir)
        subprocess.run(["fsck.ext4", "-fy", self.image], capture_output=True, check=False)
        self.mount()

    def run(self, *command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
