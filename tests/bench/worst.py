"""Content that is dear to walk: the same number of bytes as plain text and as what a hostile or unlucky engine may send."""

import contextlib
import smtplib
import ssl
import statistics
import threading
import uuid

from house import Wrong, cpu_seconds

MESSAGE_BYTES = 24 * 1000 * 1000
TIMEOUT_S = 300
# Of each kind, the plain one as well, the middle one counts.
RUNS = 3


def own_line():
    """Good as text, as quoted-printable and as base64."""
    return f"{uuid.uuid4().hex}\r\n"


def text(line, kind="text/plain; charset=utf-8", transfer="8bit"):
    """A message of one line over and over, and before them one that no other message has: a body that is known is not
    walked again."""
    head = (f"From: Shop <news@brand.example>\r\nSubject: Worst content\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n"
            f"Content-Transfer-Encoding: {transfer}\r\n")
    return lambda size: (head, (own_line() + line * (size // len(line) + 1))[:size].rpartition("\r\n")[0] + "\r\n")


def parts(line):
    """The same within a multipart."""
    whole = text(line, 'multipart/mixed; boundary="x"')

    def make(size):
        head, body = whole(size)
        return head, "--x\r\n\r\n" + body + "--x--\r\n"

    return make


HTML = "text/html; charset=utf-8"
PLAIN = text("Line of a text like any other, sixty-two letters to each one.\r\n")
# What each holds, by name; all are sent as they are, and compared with plain text of the same size.
WORST = {
    "dots": text(".\r\n"),
    "dotted_lines": text(".line\r\n"),
    "one_byte": text("a\r\n"),
    "empty_lines": text("\r\n"),
    "single_braces": text("{ } " * 20 + "\r\n"),
    "dashes": parts("--y\r\n"),
    "quoted_printable": text("=41" * 24 + "=\r\n", transfer="quoted-printable"),
    "soft_breaks": text("=\r\n", transfer="quoted-printable"),
    "base64_of_one": text("QUJD\r\n", transfer="base64"),
    "tags": text("<a><b" * 12 + "\r\n", HTML),
    "quotes": text("<a b=\"'" * 9 + "\r\n", HTML),
    "comments": text("<!--" * 16 + "\r\n", HTML),
    "entities": text("&amp;&#" * 9 + "\r\n", HTML),
    # What nearly is a placeholder in another spelling, or nearly a delimiter.
    "brace_references": text("&#123;x" * 10 + "\r\n", HTML),
    "braces_apart": text("{<b>x" * 14 + "\r\n", HTML),
    "triplets": text("%7b" * 20 + "\r\n", HTML),
    "near_delimiters": parts("--x-\r\n"),
}


class Sender:
    """One connection of an engine."""

    def __init__(self, house):
        context = ssl.create_default_context(cafile=house.folder / "certs/ca.pem")
        self.smtp = smtplib.SMTP("127.0.0.1", house.smtp_port, timeout=TIMEOUT_S)
        self.smtp.starttls(context=context)
        self.smtp.login("campaigns", (house.folder / "keys/campaigns.secret").read_text().strip())
        self.token = f"{house.tokens[0]}@tokens.example"
        self.sent = 0

    def send(self, message):
        """The code of the answer."""
        head, body = message
        self.sent += 1
        own = f"X-TokenRelay-Purpose: service\r\nX-TokenRelay-Job-Id: {uuid.uuid4()}\r\nTo: {self.token}\r\n"
        data = (own + head + "\r\n" + body).encode()
        for step in (lambda: self.smtp.mail("engine@brand.example"), lambda: self.smtp.rcpt(self.token)):
            code, said = step()
            if code != 250:
                raise Wrong(f"the relay said {code} {said!r}")
        self.smtp.putcmd("data")
        if self.smtp.getreply()[0] != 354:
            raise Wrong("no 354")
        stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in data.split(b"\r\n"))
        self.smtp.sock.sendall(stuffed + b".\r\n")
        return self.smtp.getreply()


class Trickle:
    """Small messages all the while: what keeps a session to the target awake, so that it takes whole messages at once."""

    def __init__(self, house):
        self.sender, self.stop = Sender(house), threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.wait(0.02):
            self.sender.send(PLAIN(500))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def measure(house, make, size):
    """CPU of the relay in seconds, for one message that has to be taken."""
    message, sender = make(size), Sender(house)
    before = cpu_seconds(house.relay.pid)
    code, said = sender.send(message)
    cpu = cpu_seconds(house.relay.pid) - before
    if code != 250:
        raise Wrong(f"the relay said {code} {said!r}")
    house.relayed += sender.sent
    return cpu


def middle(house, make):
    return statistics.median(measure(house, make, MESSAGE_BYTES) for _ in range(RUNS))


def path(house, name, profile, is_chunked):
    """What each kind costs, as a multiple of plain text; the dearest one too."""
    house.configure("connections_max = 1\nmessages_per_connection_max = 100000\n")
    house.open("--profile", profile)
    figures = {}
    try:
        trickle = Trickle(house) if is_chunked else None
        with trickle or contextlib.nullcontext():
            measure(house, PLAIN, MESSAGE_BYTES)
            plain = middle(house, PLAIN)
            for kind, make in WORST.items():
                figures[f"{name}_{kind}"] = middle(house, make) / plain
        if trickle:
            house.relayed += trickle.sender.sent
    finally:
        house.configure()
    house.close()
    return {f"{name}_plain_ms": plain * 1e3, f"{name}_worst_ratio": max(figures.values())} | figures
