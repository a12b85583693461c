#!/usr/bin/env python3
"""Is the private Postfix as strict as it says, and does verify.py see what is wrong? Run before they judge the relay.

Good messages must pass, and each message of a known-bad sender must be found out for its own fault.
"""

import smtplib
import ssl
import sys
import unittest
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from postfix import Postfix  # noqa: E402
from verify import verify  # noqa: E402

NAMES = ["Dana O'Hanlon", "דניאלה לוי־כהן", "زهرا کریمی\u200cنژاد", "𠮷野 花子 様", "Zoë 🌻", 'A "B" C', "Smith, Jr.",
         "Παπαδόπουλος-" * 12]
SENDER = "hello@shop.example"


def message(to, name, text="Dear {name}, order A-17", html="<p>Dear <b>{name}</b>,&nbsp;order A-17</p>"):
    made = EmailMessage(policy=SMTP)
    made["From"] = f"Shop <{SENDER}>"
    made["To"] = Address(name, addr_spec=to)
    made["Subject"] = f"Welcome, {name}"
    made["Date"] = formatdate()
    made["Message-ID"] = make_msgid(domain="relay.test")
    made.set_content(text.format(name=name))
    made.add_alternative(html.format(name=name), subtype="html")
    return made


def expectation(to, name):
    wanted = [name, "order A-17"]
    return {"to": to, "name": name, "from": SENDER, "subject": f"Welcome, {name}", "text": wanted, "html": wanted}


class RealPostfix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postfix = Postfix().__enter__()
        cls.addClassCleanup(cls.postfix.__exit__)

    def setUp(self):
        if self.postfix.mailbox.is_dir():
            for path in self.postfix.mailbox.iterdir():
                path.unlink()

    def session(self, password=None):
        smtp = smtplib.SMTP("localhost", self.postfix.port, source_address=("127.0.0.1", 0), timeout=30)
        self.addCleanup(smtp.close)
        smtp.starttls(context=ssl.create_default_context(cafile=self.postfix.facts()["ca"]))
        smtp.login(self.postfix.user, password or self.postfix.password)
        return smtp

    def check(self, sent, expected):
        smtp = self.session()
        for to, octets in sent:
            smtp.sendmail("bounces@shop.example", [to], octets)
        self.postfix.wait(30)
        return verify(self.postfix.mailbox, expected)

    def test_good_messages_in_all_scripts_pass(self):
        people = [(f"p{number}@example.test", name) for number, name in enumerate(NAMES)]
        sent = [(to, message(to, name).as_bytes()) for to, name in people]
        good, problems = self.check(sent, [expectation(*person) for person in people])
        self.assertEqual((good, problems), (len(NAMES), []))

    def test_every_bad_message_is_found_out(self):
        good = message("bad@example.test", "Dana")
        octets, token = good.as_bytes(), "e_abcdefghijklmnopqrstuvwxyz234567@tokens.example"
        html_only = EmailMessage(policy=SMTP)
        for header in ("From", "To", "Subject", "Date", "Message-ID"):
            html_only[header] = str(good[header])
        html_only.set_content("<p>Dana order A-17</p>", subtype="html")
        victims = {
            "another name": (message("bad@example.test", "Daniel").as_bytes(), "the name in To:"),
            "another address": (octets.replace(b"bad@example", b"bed@example"), "To: holds"),
            "a token in the text": (message("bad@example.test", "Dana", text="Dana order A-17 " + token), "token left"),
            "a brace in the HTML": (message("bad@example.test", "Dana", html="Dana order A-17 {{{{x}}}}"), "braces of"),
            "a missing word": (message("bad@example.test", "Dana", text="Dana"), "the text has no"),
            "the name in a hidden place": (message("bad@example.test", "Dana", html="<style>Dana</style>order A-17"),
                                           "the HTML has no"),
            "the address in a link": (message("bad@example.test", "Dana",
                                              html='Dana order A-17<a href="/u?a=bad@example.test">u</a>'), "a link"),
            "two subjects": (octets.replace(b"Subject:", b"Subject: x\r\nSubject:", 1), "2 Subject headers"),
            "HTML only": (html_only.as_bytes(), "not an alternative"),
            "an encoded word in quotes": (octets.replace(b"To: Dana", b'To: "=?utf-8?q?Dana?="'), "the name in To:"),
        }
        for what, (bad, why) in victims.items():
            with self.subTest(what):
                self.setUp()
                bad = bad if isinstance(bad, bytes) else bad.as_bytes()
                count, problems = self.check([("bad@example.test", bad)], [expectation("bad@example.test", "Dana")])
                self.assertEqual(count, 0)
                self.assertTrue(any(why in text for _, text in problems), problems)

    def test_a_lost_a_doubled_and_a_strange_message_are_found_out(self):
        to, octets = "p@example.test", message("p@example.test", "Dana").as_bytes()
        expected = [expectation(to, "Dana"), expectation("lost@example.test", "Dana")]
        good, problems = self.check([(to, octets), (to, octets)], expected)
        texts = " ".join(text for _, text in problems)
        self.assertEqual(good, 1)
        for why in ("no message arrived", "more than expected", "2 messages have this Message-ID"):
            self.assertIn(why, texts)

    def test_only_known_senders_over_tls_to_reserved_domains(self):
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.session(password="wrong")
        plain = smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=30)
        self.addCleanup(plain.close)
        plain.ehlo()
        self.assertEqual(plain.mail("a@shop.example")[0], 530)
        self.assertNotIn("auth", plain.esmtp_features)
        unknown = smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=30)
        self.addCleanup(unknown.close)
        unknown.starttls()
        unknown.ehlo()
        unknown.mail("a@shop.example")
        self.assertEqual(unknown.rcpt("p@example.test")[0], 554)
        smtp = self.session()
        smtp.ehlo_or_helo_if_needed()
        smtp.mail("a@shop.example")
        for to, code in (("p@example.org", 554), ("refuse-x@example.test", 550), ("later-x@example.test", 450)):
            found, text = smtp.rcpt(to)
            self.assertEqual(found, code)
            self.assertIn(to.encode(), text, "the reply repeats the address")
        self.assertEqual(smtp.rcpt("p@example.test")[0], 250)


if __name__ == "__main__":
    unittest.main(verbosity=2)
