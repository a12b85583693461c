"""What html5lib makes of a document: its shape without values, and each value that is not in text that only the reader sees."""

import re

import html5lib

HTML = "http://www.w3.org/1999/xhtml"
MARK = "qzq"
SHOWN = {"alt", "title", "summary", "abbr", "lang", "aria-label", "aria-description"}
MACHINES = {"link", "style", "meta", "script", "base", "object", "embed", "param", "applet", "iframe", "frame", "form", "input", "select",
            "option", "optgroup", "textarea", "track", "source", "template"}
HIDING = {"textarea", "style", "script", "xmp", "iframe", "noembed", "noframes", "object", "applet", "video", "audio", "canvas", "select",
          "option", "optgroup", "datalist", "template", "noscript", "frameset", "plaintext"}
BREAKS = {"address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "div", "dl", "dt", "fieldset", "footer",
          "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "legend", "li", "listing", "ol", "p", "pre", "section",
          "table", "tbody", "td", "tfoot", "th", "thead", "title", "tr", "ul", "option", "optgroup", "textarea", "style", "script"}
IGNORED = re.compile("[\u00ad\u034f\u200b-\u200f\u2060-\u2064\ufeff]")
# Written anew here: what common makers of links take for one.
LINK = re.compile(r"(?:[a-z][a-z0-9+.-]*://|(?<![a-z0-9])(?:www\.|mailto:|tel:|sms:))\S*|(?:[\w.+-]+@)?(?:[\w-]+\.)+(?!qzq)[a-z]{2,}(?:[/?#:@]\S*)?",
                  re.IGNORECASE)


def local(name):
    return name.rpartition("}")[2] if isinstance(name, str) else "!"


def is_html(element):
    return isinstance(element.tag, str) and element.tag.startswith("{" + HTML + "}")


class Reading:
    def __init__(self, document, values, scripting=False):
        parser = html5lib.HTMLParser(namespaceHTMLElements=True)
        self.problems, self.shape, self.text = [], [], []
        self.element(parser.parse(document, scripting=scripting), ())
        text = IGNORED.sub("", "".join(self.text))
        # The values by themselves may look like anything; what the template puts around them may not.
        for value in values:
            text = text.replace(value, MARK)
        for word in text.split():
            self.problems += [f"a link: {link.group()}" for link in LINK.finditer(word) if MARK in link.group()]

    def element(self, element, ancestors):
        if not isinstance(element.tag, str):
            self.shape.append("<!>")
            self.value(element.text, "a comment")
            return
        name = local(element.tag)
        self.shape.append(f"<{name} {' '.join(sorted(map(str, element.attrib)))}>")
        self.value(element.tag, "a tag")
        for attribute, value in element.attrib.items():
            self.value(str(attribute), "an attribute's name")
            is_shown = is_html(element) and attribute in SHOWN and name not in MACHINES
            if not is_shown:
                self.value(value, f"{attribute} of {name}")
            elif MARK in (value or ""):
                self.text.append(f" {value} ")
        inside = (*ancestors, element)
        breaks = " " if name in BREAKS else ""
        self.text.append(breaks)
        self.content(element.text, inside)
        for child in element:
            self.element(child, inside)
            self.content(child.tail, inside)
        self.text.append(breaks)
        self.shape.append(">")

    def content(self, text, inside):
        if not text:
            return
        hiding = next((e for e in inside if not is_html(e) or local(e.tag) in HIDING), None)
        if hiding is not None:
            self.value(text, f"text of {local(hiding.tag)}")
        else:
            self.text.append(text)

    def value(self, text, where):
        if MARK in (text or "").lower():
            self.problems.append(where)
