#!/usr/bin/env python3
"""Reads every delivered message with Python's own mail parser and compares it with what was expected.

    verify.py MAILBOX EXPECTED.ndjson

MAILBOX is a folder with one message a file. A line of EXPECTED is one message:

    {"to": "dana@example.test",        the address it was delivered to, and the one in To:
     "name": "Dana O'Brien",           the display name in To:, decoded        (optional)
     "from": "hello@shop.example",     the address in From:                    (optional)
     "subject": "Welcome, Dana",       decoded                                 (optional)
     "text": ["Dana", "A-17"],         each must occur in the plain text       (optional)
     "html": ["Dana", "A-17"],         each must occur in what the HTML shows  (optional)
     "attachments": ["9f86d0..."]}     SHA-256 of each attachment, in order; none where it is missing

Runs of white space count as one space. A recipient expected n times gets exactly n messages, told apart by their
subjects. Exits 0 when every message is as expected and none is left over, else 1; 2 for a wrong call.
"""

import hashlib
import json
import re
import sys
from collections import defaultdict
from email import policy
from email.header import decode_header, make_header
from email.errors import NonASCIILocalPartDefect
from email.parser import BytesParser, HeaderParser
from email.utils import parseaddr
from html.parser import HTMLParser
from pathlib import Path

TOKEN = re.compile(r"\b[em]_[a-z2-7]{20,}@", re.IGNORECASE)
ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version")
LINE_OCTETS_MAX = 998  # RFC 5322 §2.1.1
PROBLEMS_SHOWN_MAX = 40


class Shown(HTMLParser):
    """The text that a reader of an HTML part sees or hears, and where its links and pictures lead."""

    HIDDEN = {"style", "script", "head", "title"}

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.hidden, self.words, self.links = 0, [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in self.HIDDEN
        if tag in ("br", "td", "th", "tr", "p", "div", "li"):
            self.words.append(" ")
        for name, value in attributes:
            if name in ("href", "src", "background"):
                self.links.append(value or "")
            elif name in ("alt", "title"):
                self.words.append(f" {value or ''} ")

    def handle_endtag(self, tag):
        self.hidden -= tag in self.HIDDEN

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self):
        return one_line("".join(self.words))


class Delivered:
    """One file of the mailbox, taken apart."""

    def __init__(self, path):
        self.path = path
        self.raw = path.read_bytes()
        self.message = BytesParser(policy=policy.default).parsebytes(self.raw)
        # An address may be UTF-8 (RFC 6532), which Python's parser of bytes takes for damage.
        self.head = self.raw.split(b"\n\n", 1)[0].decode("utf-8", "surrogateescape") + "\n\n"
        self.headers = HeaderParser(policy=policy.default).parsestr(self.head)
        self.recipient = str(self.headers["X-Original-To"] or self.headers["Delivered-To"] or "")
        self.subject = one_line(str(self.headers["Subject"] or ""))

    def problems(self, expected):
        """Everything that is wrong with it, as one sentence each."""
        yield from self.header_problems(expected)
        yield from self.structure_problems(expected["to"])
        text, html = self.alternative("text/plain"), self.alternative("text/html")
        if text is None or html is None:
            return
        shown = Shown(html)
        for name, have, wanted in (("text", one_line(text), "text"), ("HTML", shown.text, "html")):
            for part in expected.get(wanted, []):
                if one_line(part) not in have:
                    yield f"the {name} has no {part!r}"
        for name, value in (("To", str(self.headers["To"])), ("subject", self.subject), ("text", text), ("HTML", html)):
            if "{{" in value or "}}" in value:
                yield f"the {name} has braces of a template left"
            if found := TOKEN.search(value):
                yield f"the {name} has a token left: {found.group()}..."
        for link in shown.links:
            if "{" in link or expected["to"].lower() in link.lower():
                yield f"a link holds the address or a brace: {link!r}"

    def header_problems(self, expected):
        for name in ONCE:
            if len(self.headers.get_all(name, [])) != 1:
                yield f"it has {len(self.headers.get_all(name, []))} {name} headers"
        try:
            to, sender = self.headers["To"].addresses, self.headers["From"].addresses
        except AttributeError:
            yield "To or From is missing"
            return
        if [a.addr_spec for a in to] != [expected["to"]]:
            yield f"To: holds {[a.addr_spec for a in to]}, not {expected['to']!r} alone"
        elif "name" in expected and self.recipient_name() != one_line(expected["name"]):
            yield f"the name in To: is {self.recipient_name()!r}, not {expected['name']!r}"
        if "from" in expected and [a.addr_spec for a in sender] != [expected["from"]]:
            yield f"From: holds {[a.addr_spec for a in sender]}, not {expected['from']!r}"
        digests = [hashlib.sha256(part.get_content()).hexdigest() for part in self.message.iter_attachments()]
        if digests != expected.get("attachments", []):
            yield f"{len(digests)} attachments, and not the bytes of those that were sent"
        if "subject" in expected and self.subject != one_line(expected["subject"]):
            yield f"the subject is {self.subject!r}, not {expected['subject']!r}"

    def recipient_name(self):
        """The display name in To:. Python's newer parser leaves the white space between encoded words of a phrase
        in (RFC 2047 §6.2 takes it out), so this asks the older one."""
        header = HeaderParser(policy=policy.compat32).parsestr(self.head)["To"]
        if '"=?' in header:
            return header  # an encoded word inside quotes is not one (RFC 2047 §5)
        phrase, _ = parseaddr(" ".join(header.split()))
        return one_line(str(make_header(decode_header(phrase))))

    def structure_problems(self, recipient):
        for part in self.message.walk():
            for defect in part.defects:
                yield f"a {part.get_content_type()} part is malformed: {type(defect).__name__}"
            for header, value in (self.headers if part is self.message else part).items():
                for defect in getattr(value, "defects", ()):
                    if recipient.isascii() or not isinstance(defect, NonASCIILocalPartDefect):
                        yield f"the {header} header is malformed: {type(defect).__name__}"
        whole = self.message
        if whole.get_content_type() == "multipart/mixed":  # the alternative comes first, attachments behind it
            whole = next(whole.iter_parts())
        kinds = [part.get_content_type() for part in whole.walk() if not part.is_multipart()]
        if whole.get_content_type() != "multipart/alternative" or kinds != ["text/plain", "text/html"]:
            yield f"it is {whole.get_content_type()} of {kinds}, not an alternative of text and HTML"
        longest = max(len(line.rstrip(b"\r")) for line in self.raw.split(b"\n"))
        if longest > LINE_OCTETS_MAX:
            yield f"it has a line of {longest} octets"
        if b"\r" in self.raw.replace(b"\r\n", b"") or b"\0" in self.raw:
            yield "it has a bare CR or a NUL"
        if recipient.isascii() and not self.head.isascii():
            yield "its header is not ASCII"

    def alternative(self, kind):
        for part in self.message.walk():
            if part.get_content_type() == kind:
                return part.get_content()
        return None


def one_line(text):
    return " ".join((text or "").split())


def pair(delivered, expected):
    """Gives (expectation, message) pairs; one of the two is None where its other half is missing."""
    boxes = defaultdict(list)
    for message in delivered:
        boxes[message.recipient].append(message)
    for wanted in expected:
        box = boxes[wanted["to"]]
        same = [m for m in box if "subject" not in wanted or m.subject == one_line(wanted["subject"])]
        message = (same or box or [None])[0]
        if message:
            box.remove(message)
        yield wanted, message
    for box in boxes.values():
        for message in box:
            yield None, message


def verify(mailbox, expected):
    """Gives the number of good messages and a list of (whom, problem)."""
    delivered = [Delivered(path) for path in sorted(Path(mailbox).iterdir()) if path.is_file()]
    problems, good, numbers = [], 0, defaultdict(int)
    for message in delivered:
        numbers[str(message.message["Message-ID"])] += 1
    for wanted, message in pair(delivered, expected):
        if message is None:
            problems.append((wanted["to"], "no message arrived"))
        elif wanted is None:
            problems.append((message.recipient, f"a message more than expected: {message.path.name}"))
        else:
            found = list(message.problems(wanted))
            problems.extend((wanted["to"], problem) for problem in found)
            good += not found
    problems.extend((number, f"{count} messages have this Message-ID") for number, count in numbers.items() if count > 1)
    return good, problems


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(sys.argv[2], encoding="utf-8") as lines:
        expected = [json.loads(line) for line in lines if line.strip()]
    good, problems = verify(sys.argv[1], expected)
    for whom, problem in problems[:PROBLEMS_SHOWN_MAX]:
        print(f"{whom}: {problem}")
    if len(problems) > PROBLEMS_SHOWN_MAX:
        print(f"... and {len(problems) - PROBLEMS_SHOWN_MAX} problems more")
    failed = len({whom for whom, _ in problems})
    print(f"{len(expected)} messages expected, {good} as expected, {len(problems)} problems")
    print(f"{good} passed, {failed} failed")
    return 0 if expected and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
