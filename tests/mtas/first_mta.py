"""What the first MTAs of these tests have in common: two ports on loopback (STARTTLS, and TLS from the start), a certificate made
on the spot, a password, and a folder with one delivered message a file, its recipient in the first lines.

Whose local part begins with `refuse-` is refused with 550 by all of them.
"""

import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "postfix"))
from postfix import free_ports, make_certificates  # noqa: E402, F401

USER = "relay"
START_SECONDS_MAX = 30


class MtaError(Exception):
    """A first MTA could not be started; the text says why."""


class FirstMta:
    """A context manager. `start`, `stop`, `log` and `mailbox` are each MTA's own, and so is what it can do."""

    takes_utf8_addresses = True

    def __init__(self):
        self.user, self.password = USER, secrets.token_urlsafe(18)
        self.port, self.port_tls = free_ports(2)
        self.folder = Path(tempfile.mkdtemp(prefix=f"tokenrelay-{type(self).__name__.lower()}-"))
        self.folder.chmod(0o755)  # daemons drop to their own users, who must get through

    def __enter__(self):
        try:
            self.start()
            self.wait_greeting()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        if os.environ.get("KEEP_LAB"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def ca(self):
        return self.folder / "tls" / "ca.pem"

    def wait_greeting(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self.is_running():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    if connection.recv(3) == b"220":
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise MtaError(f"{type(self).__name__} does not greet on port {self.port}; its log:\n{self.log()[-2000:]}")

    def delivered(self):
        return len(list(self.mailbox.iterdir())) if self.mailbox.exists() else 0

    def queued(self):
        """Messages that it has taken and not yet delivered; none where it delivers before it answers."""
        return 0
