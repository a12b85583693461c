"""300 messages to 300 people in five locales, through the relay's HTTP and SMTP doors, and what has to become of each.

Every message is its own template: the person's values stand in the subject, the display name, the text and the HTML. Every
thirtieth is 100 KB of lines that begin with dots; some people have addresses that only SMTPUTF8 carries.
"""

import http.client
import json
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from email import policy
from email.message import EmailMessage
from enum import Enum

PEOPLE = 300
SENDER = "news@brand.example"
HTTP_STREAMS, SMTP_CONNECTIONS = 4, 6
ANSWER_SECONDS_MAX = 120
# First names, last names, a greeting, a local part that needs SMTPUTF8.
LOCALES = {
    "en": (["Sean", "Mary Ann", "\"Bob\"", "Zoë"], ["O'Brien", "Smith, Jr.", "<Angle>", "& Sons"], "Your order", "zoë"),
    "de": (["Jürgen", "Käthe", "Björn"], ["Müller-Lüdenscheid", "Groß", "Öztürk"], "Ihre Bestellung für Übermorgen", "jürgen"),
    "he": (["דנה", "יוסי", "מיכל"], ["כהן", "בן־דוד", "מזרחי"], "ההזמנה שלך", "דנה"),
    "zh": (["小明", "丽华", "伟"], ["王", "欧阳", "李"], "您的订单", "用户"),
    "hi": (["प्रिया", "अर्जुन", "कृष्ण"], ["शर्मा", "श्रीवास्तव", "सिंह"], "आपका ऑर्डर", "प्रिया"),
}


def invent(utf8_addresses, unknown_every=0):
    """The people. With `unknown_every` = 10, the first MTA knows nobody of every tenth."""
    people = []
    for number in range(PEOPLE):
        locale = list(LOCALES)[number % len(LOCALES)]
        first, last, _, local = LOCALES[locale]
        name = f"{local}.{number}" if utf8_addresses and number % 25 < len(LOCALES) else f"person.{number}"
        if unknown_every and number % unknown_every == unknown_every // 2:
            name = f"refuse-{number}"
        people.append({
            "customer_id": f"c{number}", "email": f"{name}@people{number % 7}.test", "first_name": first[number % len(first)],
            "last_name": last[number % len(last)], "street": f"{number} Märchen–Straße", "locale": locale, "consent": "service"})
    return people


class Letter:
    """One message to one person."""

    def __init__(self, number, person, address):
        self.number, self.person, self.address = number, person, address
        self.greeting = LOCALES[person["locale"]][2]
        self.is_big = number % 30 == 3

    def is_known(self):
        return not self.person["email"].startswith("refuse-")

    @property
    def subject(self):
        return f"{{{{person.first_name}}}}, {self.greeting} №{self.number}"

    @property
    def text(self):
        big = "".join(f"..{at} {self.greeting}\n" for at in range(100_000 // (len(self.greeting.encode()) + 6))) if self.is_big else ""
        return (f"{{{{person.first_name}}}} {{{{person.last_name}}}},\n\n.{self.greeting} №{self.number}\n.\n..\n{big}"
                f"To {{{{person.street}}}}\n")

    @property
    def html(self):
        return (f"<p dir=\"auto\"><b>{{{{person.first_name}}}}</b>, {self.greeting} №{self.number}</p>\n.<p title=\"{{{{person.last_name}}}}\">"
                f"{{{{person.street}}}}</p>")

    def job(self):
        return {"job_id": f"m-{self.number}", "to": self.address, "locale": self.person["locale"], "purpose": "service", "campaign": "mtas",
                "content": {"from": f"Brand ✓ <{SENDER}>", "subject": self.subject, "text": self.text, "html": self.html}}

    def message(self):
        message = EmailMessage(policy=policy.SMTP)
        message["From"] = f"Brand ✓ <{SENDER}>"
        message["To"] = self.address
        message["Subject"] = self.subject
        message["X-TokenRelay-Job-Id"] = f"m-{self.number}"
        message.set_content(self.text, cte=["quoted-printable", "base64", "8bit"][self.number % 3])
        message.add_alternative(self.html, subtype="html", cte=["base64", "quoted-printable"][self.number % 2])
        return message.as_bytes()

    def expected(self):
        """What verify.py holds the delivered message against."""
        first, last, street = (self.person[key] for key in ("first_name", "last_name", "street"))
        order = f"{self.greeting} №{self.number}"
        big = [f"..9 {self.greeting}"] if self.is_big else []
        return {"to": self.person["email"], "name": f"{first} {last}", "from": SENDER, "subject": f"{first}, {order}",
                "text": [f"{first} {last},", f".{order} . ..", f"To {street}", *big], "html": [first, last, order, street]}


class Answer:
    """What the relay said of one letter: a state, and the words."""

    def __init__(self, state, words):
        self.state, self.words = state, words


def letters(lab):
    return [Letter(number, person, lab.address(person)) for number, person in enumerate(lab.people)]


def submit(lab, http_port, written):
    """Gives an answer for each letter by its number: one of five over SMTP, the others as streams over HTTP."""
    over_smtp = [letter for letter in written if letter.number % 5 == (letter.number // 5) % 5]
    over_http = [letter for letter in written if letter not in over_smtp]
    answers = {}
    with ThreadPoolExecutor(HTTP_STREAMS + SMTP_CONNECTIONS) as pool:
        work = [pool.submit(stream, lab, http_port, over_http[at::HTTP_STREAMS]) for at in range(HTTP_STREAMS)]
        work += [pool.submit(send, lab, over_smtp[at::SMTP_CONNECTIONS]) for at in range(SMTP_CONNECTIONS)]
        for each in work:
            answers.update(each.result())
    return answers


def stream(lab, port, written):
    body = "".join(json.dumps(letter.job(), ensure_ascii=False) + "\n" for letter in written).encode()
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context(cafile=lab.ca), timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("POST", "/v1/jobs", body, {"Authorization": f"Bearer {lab.secret}", "Content-Type": "application/x-ndjson"})
        results = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    finally:
        connection.close()
    return {int(result["job_id"].split("-")[1]): Answer(result["state"], json.dumps(result)) for result in results if "state" in result}


def send(lab, written):
    answers = {}
    with smtplib.SMTP("127.0.0.1", lab.smtp_port, timeout=ANSWER_SECONDS_MAX) as smtp:
        smtp.starttls(context=lab.tls())
        smtp.login("campaigns", lab.secret)
        smtp.ehlo_or_helo_if_needed()
        for letter in written:
            answers[letter.number] = send_one(smtp, letter)
    return answers


def send_one(smtp, letter):
    options = ["body=8bitmime"] if letter.number % 3 == 2 else []
    for code, words in (smtp.mail(SENDER, options), smtp.rcpt(letter.address)):
        if code != 250:
            smtp.rset()
            return Answer(state(code, words), f"{code} {words!r}")
    code, words = smtp.data(letter.message())
    return Answer(state(code, words), f"{code} {words!r}")


def state(code, words):
    """The state that an SMTP answer stands for."""
    if code == 250:
        return next((name for name in ("relayed", "journaled", "unknown") if name.encode() in words), "relayed")
    if b"5.4.2" in words:
        return "unknown"
    return "deferred" if 400 <= code < 500 else "rejected"


class Fate(Enum):
    """What has to become of a letter."""

    ARRIVES = ("relayed",)
    # The first MTA says "later" to some of them.
    ARRIVES_OR_IS_HELD = ("relayed", "journaled")
    # It is the person's or the letter's own fault.
    REFUSED = ("rejected",)
    # The first MTA says the same to whom it does not know and to whom it does not relay: when nobody is taken between two such
    # answers, the relay waits rather than book them on the people.
    REFUSED_OR_WAITS = ("rejected", "deferred")
    # It is nobody's fault but the configuration's, which can be mended.
    WAITS = ("deferred",)


def judge(answers, fates):
    """(whom, problem) for each letter that was not answered as it should be; `fates` by letter."""
    for letter, fate in fates.items():
        answer = answers.get(letter.number)
        if answer is None:
            yield f"m-{letter.number}", "it was never answered"
        elif answer.state not in fate.value:
            yield f"m-{letter.number}", f"{answer.state}, not {' or '.join(fate.value)}: {answer.words}"
        elif not letter.is_known() and fate is Fate.REFUSED and "550" not in answer.words:
            yield f"m-{letter.number}", f"refused for another reason than that nobody is known by that name: {answer.words}"
        elif letter.person["email"] in answer.words:
            yield f"m-{letter.number}", "the answer names the person"
