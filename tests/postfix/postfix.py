#!/usr/bin/env python3
"""A private Postfix on loopback, as the first MTA of a test.

It has its own configuration, queue, certificates, password file and mailbox in one folder that is removed at the
end. It asks for STARTTLS (or TLS from the start, on a second port) and a password, takes mail for *.test and
*.example only, delivers every message as one file, and sends nothing anywhere.

    postfix.py run [--dir DIR]        starts, prints one line of JSON, and stops when its standard input ends
    postfix.py start DIR              starts in the background, prints the same line
    postfix.py wait DIR [SECONDS]     waits until everything it took is delivered
    postfix.py stop DIR               stops it and removes DIR

Recipients whose local part begins with `refuse-` get 550 and with `later-` 450, and both replies repeat the
address, as many real ones do. Needs root, and Debian's postfix, sasl2-bin, libsasl2-modules, openssl.
"""

import argparse
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOST_NAME = "mx.relay.test"
SASL_REALM = "relay.test"
QUEUES = ("maildrop", "incoming", "active", "deferred")
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
COMMAND_SECONDS_MAX = 120
TOOLS = ("postfix", "saslpasswd2", "openssl")

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/lib
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/mail.log
maillog_file_prefixes = {dir}

myhostname = {host_name}
mydomain = relay.test
myorigin = {host_name}
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
alias_maps =
alias_database =
local_recipient_maps =
biff = no
notify_classes =

# Nothing leaves this machine.
default_transport = error:5.7.1 mail for others is not taken
relay_transport = error:5.7.1 mail for others is not taken
local_transport = error:5.7.1 there are no local users

# Every address of the reserved domains is one folder.
virtual_mailbox_domains = regexp:{dir}/etc/domains
virtual_mailbox_maps = regexp:{dir}/etc/mailboxes
virtual_mailbox_base = {dir}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
virtual_destination_recipient_limit = 1

smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {dir}/tls/server.pem
smtpd_tls_key_file = {dir}/tls/server.key
smtpd_tls_loglevel = 1
smtpd_sasl_auth_enable = yes
smtpd_sasl_security_options = noanonymous
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = {realm}
cyrus_sasl_config_path = {dir}/etc/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions =
    check_recipient_access regexp:{dir}/etc/refused, reject_unauth_destination, permit_sasl_authenticated, reject
smtpd_delay_reject = yes

# A test sends faster than a stranger may.
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_auth_rate_limit = 0
smtpd_recipient_limit = 5000
smtpd_error_sleep_time = 0
in_flow_delay = 0
default_process_limit = 60
message_size_limit = 52428800
mailbox_size_limit = 0
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{port_tls} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

TABLES = {
    "domains": r"/\.(test|example)$/ yes",
    "mailboxes": r"/^.+@.+\.(test|example)$/ inbox/",
    "refused": "/^refuse-/ 550 5.1.1 no mailbox here by that name\n/^later-/ 450 4.2.1 that mailbox is busy",
}

SASL_CONF = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: {mechanisms}
sasldb_path: {dir}/etc/sasl/sasldb2
"""


class PostfixError(Exception):
    """Postfix could not be started or stopped; the text says why."""


class Postfix:
    """One private instance. As a context manager it starts, and stops and removes everything at the end. `more` are lines of main.cf
    that stand in the place of ours of the same names."""

    def __init__(self, folder=None, more="", mechanisms="PLAIN LOGIN"):
        self.more, self.mechanisms = more, mechanisms
        self.dir = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="tokenrelay-postfix-"))
        self.user = "relay"
        self.password = secrets.token_urlsafe(18)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    @property
    def mailbox(self):
        """The Maildir folder whose files are the delivered messages."""
        return self.dir / "mail" / "inbox" / "new"

    def start(self):
        check_machine()
        self.port, self.port_tls = free_ports(2)
        self.write_files()
        postfix(self.dir, "start")
        deadline = time.monotonic() + START_SECONDS_MAX
        while not (greets(self.port) and accepts(self.port_tls)):
            if time.monotonic() > deadline:
                raise PostfixError(f"it does not answer on port {self.port}; its log:\n{self.log_tail()}")
            time.sleep(0.05)
        return self

    def stop(self):
        stop(self.dir)

    def wait(self, seconds=60.0):
        wait(self.dir, seconds)

    def queued(self):
        return queued(self.dir)

    def log_tail(self):
        log = self.dir / "mail.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else "(no log)"

    def facts(self):
        """What a test needs to know, as plain values."""
        return {
            "dir": str(self.dir),
            "host": "127.0.0.1",
            "port": self.port,
            "port_tls": self.port_tls,
            "ca": str(self.dir / "tls" / "ca.pem"),
            "user": self.user,
            "password": self.password,
            "mailbox": str(self.mailbox),
            "log": str(self.dir / "mail.log"),
        }

    def write_files(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)  # Postfix drops to its own users, who must get through
        for name in ("etc", "etc/sasl", "spool", "lib", "tls", "mail"):
            (self.dir / name).mkdir(exist_ok=True)
        nobody, owner = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
        os.chown(self.dir / "mail", nobody.pw_uid, nobody.pw_gid)
        os.chown(self.dir / "lib", owner.pw_uid, owner.pw_gid)
        values = {
            "dir": self.dir,
            "host_name": HOST_NAME,
            "realm": SASL_REALM,
            "uid": nobody.pw_uid,
            "gid": nobody.pw_gid,
            "port": self.port,
            "port_tls": self.port_tls,
            "mechanisms": self.mechanisms,
        }
        (self.dir / "etc" / "main.cf").write_text(replaced(MAIN_CF.format(**values), self.more))
        (self.dir / "etc" / "master.cf").write_text(MASTER_CF.format(**values))
        for name, lines in TABLES.items():
            (self.dir / "etc" / name).write_text(lines + "\n")
        # Debian's Postfix looks below its configuration folder only, whatever cyrus_sasl_config_path says.
        sasl = self.dir / "etc" / "sasl"
        (sasl / "smtpd.conf").write_text(SASL_CONF.format(**values))
        database = sasl / "sasldb2"
        command("saslpasswd2", "-c", "-p", "-f", database, "-u", SASL_REALM, self.user, given=self.password)
        os.chown(database, owner.pw_uid, owner.pw_gid)
        make_certificates(self.dir / "tls")


def replaced(settings, more):
    """Settings with those of `more` instead of their own. Two of one name would make every program of Postfix log a warning as it
    starts, its logging daemon too: when the socket of that one is full of them, it waits for itself for ever."""
    names = {line.split("=")[0].strip() for line in more.splitlines() if "=" in line}
    kept, is_kept = [], True
    for line in settings.splitlines():
        if not line.startswith((" ", "\t")):
            is_kept = line.split("=")[0].strip() not in names
        if is_kept:
            kept.append(line)
    return "\n".join(kept) + f"\n{more}"


def make_certificates(folder, kind=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
    """A throw-away authority, and a certificate by it for this host under each of its names; `kind` is that of the keys."""
    key = ["-newkey", *kind, "-nodes"]
    command("openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=throw-away test authority",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    command("openssl", "req", "-new", *key, "-subj", f"/CN={HOST_NAME}",
            "-keyout", folder / "server.key", "-out", folder / "server.csr")
    extensions = folder / "server.ext"
    extensions.write_text(
        f"subjectAltName=DNS:localhost,DNS:{HOST_NAME},IP:127.0.0.1\n"
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
    command("openssl", "x509", "-req", "-in", folder / "server.csr", "-CA", folder / "ca.pem",
            "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", extensions,
            "-out", folder / "server.pem")
    for private in ("ca.key", "server.key"):
        (folder / private).chmod(0o600)


def check_machine():
    if os.geteuid() != 0:
        raise PostfixError("Postfix starts as root only; run this as root, for example in a container")
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=search_path())]
    if missing:
        raise PostfixError(f"not installed: {' '.join(missing)}; apt-get install postfix sasl2-bin libsasl2-modules openssl")


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def command(*words, given=None):
    environment = {**os.environ, "PATH": search_path()}
    done = subprocess.run([str(word) for word in words], input=given, text=True, capture_output=True, env=environment)
    if done.returncode != 0:
        raise PostfixError(f"{words[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def postfix(folder, verb):
    # Its master keeps the descriptors that it is given, so a pipe would stay open for as long as it runs.
    environment = {**os.environ, "PATH": search_path()}
    for name in ("MAIL_CONFIG", "MAIL_VERBOSE", "MAIL_DEBUG"):
        environment.pop(name, None)
    with open(folder / f"{verb}.out", "w+") as output:
        try:
            done = subprocess.run(["postfix", "-c", str(folder / "etc"), verb], stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=output, env=environment, start_new_session=True, timeout=COMMAND_SECONDS_MAX)
        except subprocess.TimeoutExpired as late:
            raise PostfixError(f"postfix {verb} was not done after {COMMAND_SECONDS_MAX} s") from late
        output.seek(0)
        if done.returncode != 0:
            raise PostfixError(f"postfix {verb} failed: {output.read().strip()}")


def stop(folder):
    pid = master_pid(folder)
    if pid:
        try:
            postfix(folder, "stop")
        except PostfixError:
            pass  # it may be gone already; what counts is asked below
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def master_pid(folder):
    """Our master's process number; none when it has not started or has gone."""
    try:
        pid = int((folder / "spool" / "pid" / "master.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if alive(pid) else None


def alive(pid):
    """Whether it runs as a Postfix master; a number can be given anew to something else."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "master"
    except OSError:
        return False


def wait(folder, seconds):
    deadline = time.monotonic() + seconds
    while left := queued(folder):
        if time.monotonic() > deadline:
            raise PostfixError(f"{left} messages are still in its queue after {seconds:g} s")
        time.sleep(0.05)


def queued(folder):
    """Messages taken and not yet delivered."""
    return sum(len(names) for queue in QUEUES for _, _, names in os.walk(folder / "spool" / queue))


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


def greets(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(3) == b"220"
    except OSError:
        return False


def run(folder):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Postfix(folder) as instance:
        print(json.dumps(instance.facts()), flush=True)
        sys.stdin.read()


def main():
    parser = argparse.ArgumentParser(description="A private Postfix on loopback for tests.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run").add_argument("--dir", type=Path)
    verbs.add_parser("start").add_argument("dir", type=Path)
    waiting = verbs.add_parser("wait")
    waiting.add_argument("dir", type=Path)
    waiting.add_argument("seconds", type=float, nargs="?", default=60.0)
    verbs.add_parser("stop").add_argument("dir", type=Path)
    given = parser.parse_args()
    folder = given.dir.resolve() if given.dir else None
    try:
        match given.verb:
            case "run":
                run(folder)
            case "start":
                print(json.dumps(Postfix(folder).start().facts()))
            case "wait":
                wait(folder, given.seconds)
            case "stop":
                stop(folder)
    except PostfixError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
