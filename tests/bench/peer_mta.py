"""Postfix as a relay beside ours: takes messages, queues them on disk, passes them on in clear over loopback."""

import importlib.util
import os
import pathlib
import pwd
import shutil
import time

from house import TICK, Wrong, free_port

spec = importlib.util.spec_from_file_location("postfix", pathlib.Path(__file__).parents[1] / "postfix/postfix.py")
postfix = importlib.util.module_from_spec(spec)
spec.loader.exec_module(postfix)

# Debian's settings but for what would hold a single fast client back, and for the names and folders of this instance.
MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/lib
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/mail.log
maillog_file_prefixes = {dir}
myhostname = peer.relay.test
mydestination =
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
alias_maps =
alias_database =
local_recipient_maps =
biff = no
relayhost = [127.0.0.1]:{target}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
in_flow_delay = 0
smtp_tls_security_level = none
smtpd_tls_security_level = none
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
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
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class PostfixRelay:
    """As a context manager it runs, and is stopped and removed at the end."""

    def __init__(self, folder, target_port):
        self.dir, self.target_port, self.port = folder, target_port, free_port()

    def __enter__(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        for name in ("etc", "spool", "lib"):
            (self.dir / name).mkdir(parents=True)
        # Postfix drops to its own users, who must get through.
        self.dir.chmod(0o755)
        owner = pwd.getpwnam("postfix")
        os.chown(self.dir / "lib", owner.pw_uid, owner.pw_gid)
        values = {"dir": self.dir, "target": self.target_port, "port": self.port}
        (self.dir / "etc/main.cf").write_text(MAIN_CF.format(**values))
        (self.dir / "etc/master.cf").write_text(MASTER_CF.format(**values))
        try:
            postfix.postfix(self.dir, "start")
            deadline = time.monotonic() + postfix.START_SECONDS_MAX
            while not postfix.greets(self.port):
                if time.monotonic() > deadline:
                    raise Wrong(f"Postfix does not answer; its log:\n{self.log_tail()}")
                time.sleep(0.05)
        except BaseException:
            postfix.stop(self.dir)
            raise
        return self

    def __exit__(self, *_):
        postfix.stop(self.dir)

    def log_tail(self):
        log = self.dir / "mail.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else "(no log)"

    def queued(self):
        return postfix.queued(self.dir)

    def cpu_seconds(self):
        """User and system time of its master and of all its children, those that have ended included."""
        master = postfix.master_pid(self.dir)
        if not master:
            raise Wrong(f"Postfix has stopped; its log:\n{self.log_tail()}")
        ticks = 0
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rsplit(") ", 1)[1].split()
            except (OSError, IndexError):
                continue
            if int(path.parent.name) == master:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == master:
                ticks += sum(map(int, fields[11:13]))
        return ticks / TICK
