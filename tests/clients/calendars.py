#!/usr/bin/env python3
"""Invitations through the SMTP door, read back with Python's icalendar: every value has to arrive as the vault has it.

    calendars.py PATH-OF-TOKENRELAY

Names hold what calendars use as signs: commas, semicolons, backslashes, quotes, carets.
"""

import email
import json
import smtplib
import subprocess
import sys
from email import policy
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "postfix")]
from relay import USER, Lab, environment  # noqa: E402

NAMES = [("Jane", "Doe, Jr.; a\\b"), ('Ann "J"', "^caret^n"), ("דנה", "כהן" * 30), ("O'Brien", "x:y;z=\\n"), ("太郎" * 20, "山田")]
INVITATION = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//EN\r
METHOD:REQUEST\r
BEGIN:VEVENT\r
UID:{to}\r
DTSTAMP:20260101T000000Z\r
DTSTART:20260102T100000Z\r
ORGANIZER:mailto:news@brand.example\r
SUMMARY:Visit of {{{{person.first_name}}}} {{{{person.last_\r
 name}}}}\r
ATTENDEE;CN={{{{person.first_name}}}} {{{{person.last_name}}}};ROLE=REQ-PARTICIPANT;RSVP=TRUE:mailto:{{{{person.email}}}}\r
END:VEVENT\r
END:VCALENDAR\r
"""
READER = """
import json, sys
from icalendar import Calendar
for text in json.load(sys.stdin):
    [event] = Calendar.from_ical(text).walk("VEVENT")
    attendee = event["ATTENDEE"]
    print(json.dumps([str(event["SUMMARY"]), str(attendee), str(attendee.params["CN"]), attendee.params["RSVP"]]))
"""


def message(to):
    head = (f"From: news@brand.example\r\nTo: {to}\r\nSubject: Visit\r\nX-TokenRelay-Purpose: service\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n")
    part = "--b\r\nContent-Type: text/calendar; charset=utf-8; method=REQUEST\r\n{more}\r\n"
    attached = "Content-Disposition: attachment; filename=invite.ics\r\n"
    text = INVITATION.format(to=to)
    return head + part.format(more="") + text + part.format(more=attached) + text + "--b--\r\n"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    people = [{"customer_id": f"c{at}", "email": f"o'doe+{at}@people.test", "first_name": first, "last_name": last,
               "consent": "service"} for at, (first, last) in enumerate(NAMES)]
    with Lab(sys.argv[1], people) as lab:
        with smtplib.SMTP_SSL("127.0.0.1", lab.smtps_port, context=lab.tls()) as smtp:
            smtp.login(USER, lab.secret)
            for person in lab.people:
                smtp.sendmail("news@brand.example", [lab.address(person)], message(lab.address(person)))
        calendars, wanted = [], []
        for envelope, content in lab.arrived():
            [person] = [person for person in people if person["email"] in envelope["recipients"]]
            for part in email.message_from_bytes(content, policy=policy.default).walk():
                if part.get_content_type() == "text/calendar":
                    calendars.append(part.get_payload(decode=True).decode())
                    name = f"{person['first_name']} {person['last_name']}"
                    wanted.append([f"Visit of {name}", f"mailto:{person['email']}", name, "TRUE"])
    done = subprocess.run([environment(HERE / "requirements.txt"), "-c", READER], input=json.dumps(calendars),
                          capture_output=True, text=True, check=True)
    read = [json.loads(line) for line in done.stdout.splitlines()]
    long = [line for text in calendars for line in text.split("\r\n") if len(line.encode()) > 75]
    wrong = [(was, should) for was, should in zip(read, wanted, strict=True) if was != should]
    for was, should in wrong:
        print(f"read {was}, wanted {should}")
    print(f"{len(read)} calendars read, {len(wrong)} wrong, {len(long)} lines past 75 bytes")
    return 0 if len(read) == 2 * len(people) and not wrong and not long else 1


if __name__ == "__main__":
    sys.exit(main())
