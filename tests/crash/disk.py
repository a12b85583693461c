#!/usr/bin/env python3
"""The disk lies, fails, is full, is read-only or gone: no positive answer that the disk does not cover, nothing lost, and
delivery goes on where it can.

    disk.py BINARY [--seed S] [CASE...]

Faults are injected with strace; a small file system of its own stands for a full disk (as root). Each check of the order of
fsync and answer is also made where fsync does nothing (libeatmydata), which has to be found.
"""

import base64
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import ordering
from cases import Skip, finish, run_cases, waiting
from engine import Engine, Talk
from fault import Fault, SickDisk, SmallDisk, need_root
from lab import ENGINE, SENDER, Lab, until
from ledger import Ledger, compare

JOURNAL = {"disk_free_min": "4MiB", "retry_first": "200ms", "retry_max": "1s"}
ORDER_JOBS = 300
PADDING_OCTETS = 20_000
# Jobs of that size, at most, for which room may be found while the doors refuse.
REFUSED_WITHIN = 30


# ---- The order of fsync and answer -----------------------------------------------------------------------------------


def ordered(args, environment=None):
    need_root("a relay lets nobody look into its memory, strace neither")
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "accept"}) as lab:
        file = lab.folder / "trace"
        lab.start(before=(*ordering.COMMAND, "-o", file, "-e", ordering.CALLS), environment=environment)
        engine = Engine(lab, ORDER_JOBS, ("http", "smtp")).start()
        problems = until(engine.is_answered, 120, "every job has an answer")
        engine.stop()
        lab.kill()
        accepted = [answer["send"] for answer in engine.accepted().values()]
        figures, found = ordering.judge(file, {lab.ports["http"], lab.ports["smtp"]}, accepted)
        print(f"  {figures['answers']} answers, {figures['fsyncs']} fsyncs of the write-ahead log")
        if not accepted:
            found.append("nothing was accepted: nothing was tried")
        return problems + found


def case_order(args):
    """No positive answer leaves either door before the fsync that covers it has returned."""
    return ordered(args)


def case_order_control(args):
    """The same where fsync does nothing: the check has to see it."""
    library = next(iter(glob.glob("/usr/lib/*/libeatmydata.so")), None)
    if library is None:
        raise Skip("libeatmydata.so is missing (Debian: eatmydata)")
    # Told on the command line of strace, which itself must not be eaten.
    problems = ordered(args, {"LD_PRELOAD": library})
    if any("before an fsync covered them" in problem for problem in problems):
        print(f"  found, as it has to be: {problems[-1]}")
        return []
    return [f"fsync did nothing and nothing was noticed ({problems})"]


# ---- Errors of the disk ----------------------------------------------------------------------------------------------


def fsync_fails(args, when):
    """The relay is told of an fsync that failed. What it says after that must not rest on this file."""
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "slow=5"}) as lab:
        lab.start()
        engine = Engine(lab, 3000)
        engine.allowed = 500
        engine.start()
        problems = until(lambda: len(engine.answers) >= 500, 60, "the first jobs are answered")
        with Fault(lab, "fsync,fdatasync", "EIO", when) as fault:
            engine.allowed = 3000
            problems += until(fault.count, 60, "an fsync has failed")
            # What was answered before the failure may still be on its way.
            time.sleep(0.5)
            before = dict(engine.answers)
            time.sleep(2)
            held = ready_problems(lab, "behind a failed fsync")
            late = [job for job, answer in dict(engine.answers).items() if job not in before]
            print(f"  {fault.count()} fsyncs failed, {len(before)} answers until then, {len(late)} positive answers afterwards")
        if late and held:
            problems.append(f"{len(late)} jobs were accepted behind a failed fsync")
        problems += held
        lab.kill()
        return problems + finish(lab, engine)


def case_fsync_once(args):
    """One fsync of the write-ahead log fails, the next would 'succeed'."""
    return fsync_fails(args, str(args.dice.randint(1, 5)))


def case_fsync_always(args):
    """Every fsync of the write-ahead log fails from some moment on."""
    return fsync_fails(args, f"{args.dice.randint(1, 5)}+")


def case_write_fails(args):
    """Writes to the write-ahead log fail (ENOSPC, EROFS, EIO): nothing is claimed; a full disk heals by itself, the others by a new start."""
    problems = []
    for error in ("ENOSPC", "EROFS", "EIO"):
        with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "slow=5"}) as lab:
            lab.start()
            engine = Engine(lab, 1500)
            engine.allowed = 300
            engine.start()
            found = until(lambda: len(engine.answers) >= 300, 60, "the first jobs are answered")
            with Fault(lab, "pwrite64", error, "3+") as fault:
                engine.allowed = 1500
                found += until(fault.count, 60, "a write has failed")
                time.sleep(0.5)
                before = len(engine.answers)
                status, body = post(lab, engine, "w-1")
                time.sleep(1)
                after = len(engine.answers)
                if status in (200, 202):
                    found.append(f"a job was accepted while nothing could be written: {body}")
                if after > before:
                    found.append(f"{after - before} jobs were accepted while nothing could be written")
                ready = lab.get("/readyz")[0]
            print(f"  {error}: {fault.count()} writes failed, POST {status}, /readyz {ready}")
            found += finish(lab, engine, restarts=error != "ENOSPC")
            problems += [f"{error}: {problem}" for problem in found]
    return problems


def ready_problems(lab, when):
    status, body = lab.get("/readyz")
    return [] if status != 200 else [f"/readyz is 200 {when}: {body[:200]}"]


def case_remounted(args):
    """An error of the file system, a stop in peace, a repair and a mount without a reboot: what the notes beside the database
    have lost with the mount is not taken for what they say."""
    with Lab(args.binary, args.seed, "journal", JOURNAL, targets={"mta1": "slow=5"}) as lab, SickDisk(lab) as disk:
        lab.start()
        engine = Engine(lab, 4000)
        engine.allowed = 2000
        engine.start()
        problems = until(lambda: len(lab.arrivals()) > 500, 60, "jobs arrive")
        disk.fail()
        time.sleep(args.dice.uniform(0.2, 2))
        problems += ready_problems(lab, "while the journal's file system is read-only")
        os.kill(lab.pid(), signal.SIGTERM)
        code, lab.relay = lab.relay.wait(60), None
        print(f"  the relay ends with {code}")
        if code == 0 or "every accepted recipient has its outcome" in lab.log():
            problems.append(f"the relay ended with {code} and says that everybody has an outcome")
        disk.repair()
        lab.start()
        return problems + finish(lab, engine, restarts=False)


# ---- Copies ----------------------------------------------------------------------------------------------------------


def case_copied(args):
    """A copy of the state folder sends nothing of what it held until a person says so; the doors work meanwhile."""
    with Lab(args.binary, args.seed, "journal", JOURNAL) as lab:
        lab.close_sink("mta1")
        lab.start()
        engine = Engine(lab, 600).start()
        problems = until(engine.is_answered, 60, "the jobs are answered")
        engine.stop()
        copy = lab.folder / "copy"
        # Beside the running relay, as a backup does.
        shutil.copytree(lab.state, copy)
        lab.open_sink("mta1")
        problems += until(lambda: len(lab.arrivals()) >= 600, 60, "the original delivers them") + lab.stop()
        lab.state = copy
        lab.configure()
        checked = lab.call("check", "--offline", "-c", lab.config, codes=(0, 1))
        lab.start()
        status, body = post(lab, engine, "new-1")
        problems += until(lambda: len(lab.arrivals()) >= 601, 20, "a new job is sent by the copy")
        time.sleep(2)
        sent, (code, ready) = len(lab.arrivals()), lab.get("/readyz")
        print(f"  the copy has sent {sent - 600}, /readyz {code} {ready[:100]}")
        problems += [f"the copy has sent {sent - 601} jobs by itself"] if sent > 601 else []
        problems += [f"a new job is answered {status} {body}"] if status not in (200, 202) else []
        for what, said in (("check", checked), ("/readyz", ready), ("the log", lab.log())):
            problems += [] if "copied or restored" in said else [f"{what} does not say that it is a copy: {said[-300:]}"]
        lab.call("jobs", "release", "--all", "--yes", "-c", lab.config)
        problems += until(lambda: not waiting(lab) and len(lab.arrivals()) > 1000, 60, "what was released is sent") + lab.stop()
        ledger = Ledger(lab.database)
        ledger.rows = {send: row for send, row in ledger.rows.items() if row["job_id"].startswith(engine.prefix + "-0")}
        ledger.count = len(ledger.rows)
        ours = [arrival for arrival in lab.arrivals() if arrival["send"] in ledger.rows]
        figures, found = compare(engine, ours, ledger, "journal")
        print(f"  {figures['doubled']} arrived twice, {figures['of them flagged']} of them flagged")
        return problems + found


# ---- A small disk ----------------------------------------------------------------------------------------------------


def case_full(args):
    """The disk fills with jobs: 507 and 452 while there is still room to deliver; all is well when they are delivered."""
    with Lab(args.binary, args.seed, "journal", {**JOURNAL, "disk_free_min": "16MiB"}, targets={"mta1": "accept"}) as lab, SmallDisk(lab) as disk:
        lab.close_sink("mta1")
        lab.start()
        engine = Padded(lab, 3000).start()
        problems = until(lambda: engine.deferred > 20, 120, "the doors refuse")
        print(f"  {len(engine.answers)} jobs taken, {disk.free() >> 20} MiB left")
        problems += refused(lab, engine)
        if disk.free() < 2 << 20:
            problems.append(f"only {disk.free()} octets were left when the doors refused")
        lab.open_sink("mta1")
        problems += until(engine.is_answered, 120, "every job is taken once there is room again")
        return problems + finish(lab, engine, restarts=False)


def case_bytes_max(args):
    """The journal's own bound refuses likewise."""
    with Lab(args.binary, args.seed, "journal", {**JOURNAL, "bytes_max": "2MiB"}, targets={"mta1": "accept"}) as lab:
        lab.close_sink("mta1")
        lab.start()
        engine = Padded(lab, 400).start()
        problems = until(lambda: engine.deferred > 20, 60, "the doors refuse")
        held = Ledger(lab.database).held
        print(f"  {len(engine.answers)} jobs taken, {held['held_bytes']} octets held")
        if held["held_bytes"] > 2 << 20:
            problems.append(f"{held['held_bytes']} octets are held, 2 MiB are allowed")
        problems += refused(lab, engine)
        lab.open_sink("mta1")
        problems += until(engine.is_answered, 120, "every job is taken once there is room again")
        return problems + finish(lab, engine, restarts=False)


def case_filled(args):
    """Somebody else fills the disk to the last octet, and later takes it back."""
    with Lab(args.binary, args.seed, "journal", {**JOURNAL, "disk_free_min": "1MiB"}, targets={"mta1": "accept"}) as lab, SmallDisk(lab) as disk:
        lab.close_sink("mta1")
        lab.start()
        engine = Padded(lab, 3000)
        engine.allowed = 400
        engine.start()
        problems = until(lambda: len(engine.answers) >= 400, 60, "the first jobs are answered")
        filler = fill(disk)
        engine.allowed = 3000
        # Its own log the relay can empty, and that room is for jobs again; then there is none.
        problems += until(lambda: engine.deferred > 20, 60, "the doors refuse")
        problems += refused(lab, engine)
        before = len(engine.answers)
        lab.open_sink("mta1")
        problems += until(lambda: len(lab.arrivals()) >= before, 45, "what was held is delivered while the disk is full")
        if len(engine.answers) > before:
            print(f"  {len(engine.answers) - before} jobs were taken while the disk was full: room came free by delivery")
        print(f"  {len(lab.arrivals())} of {before} held jobs were delivered while the disk was full")
        filler.unlink()
        problems += until(engine.is_answered, 120, "every job is taken once there is room again")
        return problems + finish(lab, engine, restarts=False)


def fill(disk):
    filler = disk.dir / "somebody-elses"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


def refused(lab, engine):
    """Both doors say that there is no room, each in its own words. The relay may find some in its own log, and takes a job or
    two for it, so the question is put until that is used up."""
    problems, tries = [], range(REFUSED_WITHIN)
    for number in tries:
        status, body = post(lab, engine, f"full-http-{number}", "x" * PADDING_OCTETS)
        if status == 507:
            break
    else:
        problems.append(f"the HTTP door answers {status} {body[:200]}, not 507")
    for number in tries:
        answer = smtp(lab, engine, f"full-smtp-{number}", "x" * PADDING_OCTETS)
        if answer.startswith("452"):
            break
    else:
        problems.append(f"the SMTP door answers {answer[:200]}, not 452")
    print(f"  HTTP {status}, SMTP {answer.strip()}")
    return problems


# ---- Folders ---------------------------------------------------------------------------------------------------------


def case_read_only(args):
    """The journal's folder is read-only at the start: the relay says so, or takes nothing."""
    with Lab(args.binary, args.seed, "journal", JOURNAL) as lab, SmallDisk(lab) as disk:
        lab.start()
        engine = Engine(lab, 50).start()
        problems = until(engine.is_answered, 60, "the first jobs are answered")
        problems += until(lambda: len(lab.arrivals()) >= 50, 60, "they arrive") + lab.stop()
        disk.remount("ro")
        problems += takes_nothing(lab, engine, ("read-only", "cannot be written"))
        disk.remount("rw")
        lab.start()
        status, body = post(lab, engine, "rw-1")
        if status not in (200, 202):
            problems.append(f"once it may be written again a job is answered {status} {body[:200]}")
        engine.stop()
        return problems


def case_no_inodes(args):
    """There is room, and no room for a file."""
    with Lab(args.binary, args.seed, "journal", JOURNAL) as lab, SmallDisk(lab, "size=48m,nr_inodes=2"):
        engine = Engine(lab, 1)
        problems = takes_nothing(lab, engine, ())
        engine.stop()
        return problems


def takes_nothing(lab, engine, words):
    (lab.folder / "serve.log").write_text("")
    lab.start(wait=False)
    deadline = time.monotonic() + 20
    status = None
    while time.monotonic() < deadline and lab.relay.poll() is None:
        try:
            status, body = post(lab, engine, "ro-1")
            break
        except OSError:
            time.sleep(0.1)
    if lab.relay.poll() is not None:
        code, log = lab.relay.returncode, lab.log()
        print(f"  the relay ends with {code}: {log.strip().splitlines()[-1] if log.strip() else ''}")
        lab.relay = None
        plain = not words or any(word in log for word in words)
        return ([] if code else ["the relay ends with 0"]) + ([] if plain else [f"it does not say why: {log[-300:]}"])
    print(f"  the relay runs, POST {status}")
    lab.kill()
    return [f"a job was accepted: {body}"] if status in (None, 200, 202) else []


def case_missing(args):
    """The journal's folder is not there at the start: it is made, for nobody else to read."""
    with Lab(args.binary, args.seed, "journal", JOURNAL) as lab:
        shutil.rmtree(lab.journal_dir, ignore_errors=True)
        lab.start()
        engine = Engine(lab, 100).start()
        problems = until(engine.is_answered, 60, "jobs are answered")
        mode = lab.journal_dir.stat().st_mode & 0o777
        modes = {path.name: path.stat().st_mode & 0o077 for path in lab.journal_dir.iterdir()}
        print(f"  made with mode {mode:o}: {', '.join(sorted(modes))}")
        problems += [f"the folder has mode {mode:o}"] if mode != 0o700 else []
        problems += [f"{name} can be read by others" for name, others in modes.items() if others]
        return problems + finish(lab, engine)


def case_taken_away(args):
    """The folder is taken away under a running relay: what is accepted from there on would be lost with the process."""
    with Lab(args.binary, args.seed, "journal", JOURNAL) as lab:
        lab.close_sink("mta1")
        lab.start()
        engine = Engine(lab, 100).start()
        problems = until(engine.is_answered, 60, "jobs are answered")
        engine.stop()
        lab.journal_dir.rename(lab.folder / "elsewhere")
        deadline = time.monotonic() + 10
        count, status = 0, 202
        while status in (200, 202) and time.monotonic() < deadline:
            status, body = post(lab, engine, f"gone-{count}")
            count += status in (200, 202)
            time.sleep(0.05)
        print(f"  {count} jobs were accepted afterwards, then {status}")
        ready = ready_problems(lab, "while the journal's folder is gone")
        if status in (200, 202):
            return problems + ready + [f"jobs are accepted into a file that nobody will find: {body[:200]}"]
        return problems + ready


# Without the right of root to pass over owner and mode.
AS_ANYBODY = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")


def case_vault(args):
    """The vault's file cannot be opened: `check` says why, each time the cause that it is, with a fix for that one."""
    with Lab(args.binary, args.seed, "journal", JOURNAL) as lab:
        folder = lab.state / "vault"
        file, problems = next(folder.glob("*.db")), []
        copy = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        with SmallDisk(lab, folder=folder) as disk:
            for name, octets in copy.items():
                (folder / name).write_bytes(octets)
            disk.remount("ro")
            problems += vault_says(lab, "its file system is mounted read-only", "remount,rw")
            disk.remount("rw")
            with (folder / "filler").open("wb", buffering=0) as filler:
                while disk.free():
                    filler.write(bytes(min(disk.free(), 1 << 20)))
            problems += vault_says(lab, "the disk is full", "free space")
        file.chmod(0o000)
        problems += vault_says(lab, "the mode of the file (000) keeps its owner out", "chmod 600", before=AS_ANYBODY)
        file.chmod(0o600)
        os.chown(file, 12345, 12345)
        problems += vault_says(lab, "the file is that of user 12345, and this runs as user 0", "chown", before=AS_ANYBODY)
        os.chown(file, 0, 0)
        file.rename(folder / "away")
        problems += vault_says(lab, "it does not exist", "vault import")
        file.mkdir()
        problems += vault_says(lab, "a folder lies there", "put the file back")
        file.rmdir()
        (folder / "away").rename(file)
        said = check_of(lab)
        return problems + (["and whole again it is not read: " + said[-500:]] if "unavailable" in said else [])


def check_of(lab, before=()):
    done = subprocess.run([*before, lab.binary, "check", "--offline", "-c", lab.config], capture_output=True, text=True)
    return done.stdout + done.stderr


def vault_says(lab, *words, before=()):
    said = " ".join(check_of(lab, before).split())
    missing = [word for word in words if word not in said]
    if not missing:
        print(f"  {words[0]}")
    return [f"check does not say {missing}: {said[:900]}"] if missing else []


# ---- Common to all ---------------------------------------------------------------------------------------------------


class Padded(Engine):
    """Jobs with a large text of their own each."""

    def job(self, number):
        content = {"from": SENDER, "subject": "Hello", "text": f"{number} " + "x" * PADDING_OCTETS}
        return {"job_id": self.job_id(number), "to": self.person(number)["address"], "purpose": "service", "content": content}

    def message(self, number):
        return super().message(number).replace(f"message {number}\r\n".encode(), f"message {number}\r\n".encode() + b"x" * 70 * 1 +
                                               b"\r\n" + (b"y" * 70 + b"\r\n") * (PADDING_OCTETS // 72))


def post(lab, engine, job_id, text="Hello"):
    job = {"job_id": job_id, "to": engine.person(0)["address"], "purpose": "service",
           "content": {"from": SENDER, "subject": "Hello", "text": text}}
    request = urllib.request.Request(f"http://127.0.0.1:{lab.ports['http']}/v1/jobs", json.dumps(job).encode(),
                                     {"Authorization": f"Bearer {lab.secret}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def smtp(lab, engine, job_id, text):
    with socket.create_connection(("127.0.0.1", lab.ports["smtp"]), timeout=30) as plain:
        talk = Talk(plain)
        talk.hear(b"220")
        talk.ask(b"EHLO engine.example\r\n", b"250")
        talk.ask(b"AUTH PLAIN " + base64.b64encode(f"\0{ENGINE}\0{lab.secret}".encode()) + b"\r\n", b"235")
        lines = "\r\n".join(text[at:at + 70] for at in range(0, len(text), 70))
        for line in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{engine.person(0)['address']}>", "DATA",
                     f"From: {SENDER}\r\nSubject: Hello\r\nX-TokenRelay-Job-Id: {job_id}\r\nX-TokenRelay-Purpose: service\r\n\r\n{lines}\r\n."):
            talk.send(f"{line}\r\n".encode())
            answer = talk.hear()
            if answer[:1] not in b"23":
                break
        return answer.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, globals()))
