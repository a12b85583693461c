"""What is sent: templates and a message with the same content, and what each person's must hold."""

import email.message
import email.policy
import random

NAMES = ["first_name", "last_name", "city", "street"]
ORDER = "A-1"
SUBJECT = "{first_name}, order {order} is on its way"
ATTACHED_OCTETS = 60 * 1024
# The stretches in double square brackets are what the sink takes its digest of.
OF_TEXT = ["{first_name} {last_name}", "{city}|{street}"]
OF_HTML = ["{first_name}", "{first_name}|{last_name}|{city}|{street}", "{last_name}"]


def proof(person):
    """The text behind a person's digest, as `tokenrelay sink --verify` describes it."""
    to = "{first_name} {last_name} <{email}>".format(**person)
    parts = [to, SUBJECT.format(order=ORDER, **person), *(stretch.format(**person) for stretch in OF_TEXT + OF_HTML)]
    return "".join(part + "\n" for part in parts)


def write_templates(folder):
    """`bench` is 10 KiB with 12 values, `large` 100 KiB with a static attachment."""
    template(folder / "templates/bench", lines=102, attached=False)
    template(folder / "templates/large", lines=225, attached=True)
    write_message(folder / "message.eml")


def placeholders(text):
    return text.format(**{name: f"{{{{person.{name}}}}}" for name in NAMES}, order="{{data.order}}")


def texts(lines, order):
    of_text, of_html = ([f"[[{placeholders(stretch)}]]" for stretch in stretches] for stretches in (OF_TEXT, OF_HTML))
    filler = "".join(f"<p class=\"row\">Line {n} of what everybody is told, the same for all.</p>\n" for n in range(lines))
    html = f"<html><body><h1>Hello {of_html[0]}</h1>\n<p>{of_html[1]}</p>\n{filler}<p>{order} {of_html[2]}</p></body></html>\n"
    plain = "".join(f"Line {n}, the same for all.\n" for n in range(60))
    return html, f"Hello {of_text[0]},\n{plain}Order {order} {of_text[1]}\n"


def template(folder, lines, attached):
    folder.mkdir()
    toml = 'from = "Shop <news@brand.example>"\npurpose = "service"\n'
    if attached:
        toml += 'attachments = ["terms.bin"]\n'
        (folder / "assets").mkdir()
        (folder / "assets/terms.bin").write_bytes(random.Random(7).randbytes(ATTACHED_OCTETS))
    toml += "".join(f"[field.{name}]\noptional = true\n" for name in NAMES)
    (folder / "template.toml").write_text(toml)
    (folder / "subject.hbs").write_text(placeholders(SUBJECT))
    html, plain = texts(lines, "{{data.order}}")
    (folder / "body.html.hbs").write_text(html)
    (folder / "body.txt.hbs").write_text(plain)


def write_message(path):
    """The same content as an engine's own message; the generator gives each its own To, Message-ID and Date."""
    html, plain = texts(102, ORDER)
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Shop <news@brand.example>"
    message["Subject"] = placeholders(SUBJECT).replace("{{data.order}}", ORDER)
    message["List-Unsubscribe"] = "<https://brand.example/u/{{send.number}}>"
    message.set_content(plain, cte="8bit")
    message.add_alternative(html, subtype="html", cte="8bit")
    path.write_bytes(message.as_bytes())
