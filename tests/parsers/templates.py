"""Templates of HTML by a grammar: ordinary mails, and what parsers, readers and makers of links read in ways of their own."""

import random

FIELDS = ["email", "first_name", "city"]
VALUES = ["{{person.email}}", "{{person.first_name}}", "{{#if data.a}}{{person.city}}{{/if}}", "{{{data.raw}}}", "{{data.x}}"]
WORDS = ["x", " ", "Hello ", "&amp;", "&#58;", "&colon;", "&shy;", "//third/", "https:", "third.example", "/u?e=", "www.", ".", "@",
         "1 < 2 ", "&", "&#", "&#00000000000000000000000058;", "&shythird", "<wbr>", "<!-- c -->", "<!-->", "<!--x--!>", "\n", "-->", "]]>",
         "\"", "'", "=", "\u200b", "third", ".example"]
PLAIN = ["p", "b", "i", "a", "div", "span", "td", "tr", "table", "li", "ul", "font", "center", "h1", "pre", "em", "nobr", "button"]
ODD = ["svg", "math", "textarea", "title", "style", "script", "select", "option", "template", "noscript", "iframe", "xmp", "noembed",
       "noframes", "object", "desc", "foreignObject", "mtext", "annotation-xml", "frameset", "plaintext", "form", "input", "head", "body",
       "html", "colgroup", "caption", "video", "param", "image", "listing", "datalist", "o:p", "amp-img"]
ATTRIBUTES = ["title", "alt", "href", "src", "class", "value", "style", "lang", "fill", "xlink:href", "action", "action-xhr", "data-x",
              "aria-label", "name", "encoding", "content", "srcset", "to"]
PIECES = ["<![CDATA[", "]]>", "<!--[if mso]>", "<![endif]-->", "<!--[if !mso]><!-->", "<!--<![endif]-->", "<?x?>", "<!doctype html>",
          "</textarea>", "</svg>", "</style>", "</title>", "</p>", "</table>", "</select>", "<br>", "<img alt=\"", "<a title='", "\">", "'>",
          "<style>p:empty{}</style>", "<style>p{color:red}</style>", "<a href=\"//third/", "<img src=\"//third/"]
TEXTS = ["x", "third.example/", "<b>", "7", "@third.ex", ".", "third"]
RAW = ["", "plain", "<b>x</b>", "<p>x", "</td></tr></table>", "<form action=//third/>", "<svg>", "</div>", "<textarea>", "<!-- x -->",
       "<style>p{}</style>", "<img alt=", "<select>", "@third.example", "https://third.example/", "<a href=\"https://third.example/\">",
       "<b>@third.example</b>", "&commat;third.example", ".example", "<tr><td>third.example/</td></tr>", "<td>third.example/",
       "</td></tr></table>third.example/", "<table>third.example/", "<tr>@third.example", "</div>third.example/", "third.example/</p>",
       "<table><tr><td>x</td></tr></table>third.example/", "<li>x</li>", "<li>third.example/", "<ul>", "<ul><li>x</li></ul>", "<h2>x</h2>",
       "<div>", "<dd>x</dd>", "<ruby>x<rt>y</rt></ruby>", "<rt>x", "<tr><td>x</td></tr>", "<h1>third.example/"]
# Parts of tables, lists and forms, whole and in halves: where they do not stand, parsers move what they hold, or pass over them.
PARTS = ["table", "tbody", "tr", "td", "th", "caption", "colgroup", "ul", "li", "dl", "dd", "h1", "h2", "form", "p", "div", "button", "ruby", "rt",
         "video", "svg", "select", "option", "template", "noscript", "object", "a", "b", "title", "body", "html", "head", "style"]


class Grammar:
    def __init__(self, seed):
        self.dice = random.Random(seed)
        # How often something odd comes: most templates of the first kind are taken, few of the last.
        self.oddity = self.dice.choice([0.01, 0.05, 0.15, 0.4])

    def template(self):
        if self.dice.random() < 0.25:
            self.part = self.moving
        values = [self.dice.choice(["{{person.email}}", "{{person.first_name}}"])]
        parts = [self.part(3) for _ in range(self.dice.randint(1, 5))]
        parts.insert(self.dice.randint(0, len(parts)), values[0])
        html = "".join(parts)
        if self.dice.random() < 0.3:
            html = f"<!doctype html><html><head><title>x</title></head><body>{html}</body></html>"
        data = {"a": self.dice.random() < 0.5, "b": self.dice.random() < 0.5, "x": self.dice.choice(TEXTS), "l": ["one", "two"][:self.dice.randint(0, 2)],
                "raw": self.dice.choice(RAW), "url": "https://shop.example/a?b=c"}
        return {"html": html, "data": data}

    def part(self, depth):
        roll = self.dice.random()
        if roll < self.oddity:
            return self.dice.choice(PIECES)
        if depth == 0 or roll < 0.35:
            return self.text()
        inner = "".join(self.part(depth - 1) for _ in range(self.dice.randint(1, 3)))
        if roll < 0.5:
            return self.block(inner, self.part(depth - 1))
        name = self.dice.choice(ODD if self.dice.random() < self.oddity * 2 else PLAIN)
        end = "" if self.dice.random() < self.oddity else f"</{name}>"
        return f"<{name}{self.attributes()}>{inner}{end}"

    def moving(self, depth):
        """What parsers move or pass over, in blocks of which each may be left out: tags stand without their ends, and ends without them."""
        roll = self.dice.random()
        if depth == 0 or roll < 0.4:
            return self.dice.choice([self.text(), "shop.example", "shop.example ", self.dice.choice(VALUES), ".example", "third"])
        inner = "".join(self.moving(depth - 1) for _ in range(self.dice.randint(1, 3)))
        name = self.dice.choice(PARTS[:8] if roll < 0.6 else PARTS)
        begin, end = f"<{name}>", f"</{name}>"
        kind = self.dice.random()
        if kind < 0.5:
            return begin + inner + end
        if kind < 0.6:
            return self.block(begin, self.dice.choice(["", end, self.text()])) + inner + self.block(end, self.dice.choice(["", begin, self.text()]))
        if kind < 0.8:
            return self.block(begin + inner + end, self.moving(depth - 1))
        if kind < 0.9:
            return self.dice.choice([begin, end]) + inner
        return self.block(inner, self.dice.choice([begin, end, inner]))

    def text(self):
        if self.dice.random() < 0.35:
            return self.dice.choice(VALUES)
        if self.dice.random() < self.oddity * 2:
            return "".join(self.dice.choice(WORDS + VALUES) for _ in range(self.dice.randint(1, 5)))
        return self.dice.choice(["Hello ", "an offer ", "shop.example ", " ", "x "])

    def attributes(self):
        out = ""
        while self.dice.random() < 0.3:
            name = self.dice.choice(ATTRIBUTES if self.dice.random() < self.oddity * 3 else ATTRIBUTES[:2])
            value = self.dice.choice(VALUES[:2] + ["x", "https://shop.example/", "{{data.url}}", "text/html", "a {{data.x}}"])
            out += f' {name}="{value}"'
        return out

    def block(self, inner, other):
        return self.dice.choice([
            f"{{{{#if data.a}}}}{inner}{{{{/if}}}}",
            f"{{{{#if data.b}}}}{inner}{{{{else}}}}{other}{{{{/if}}}}",
            f"{{{{#unless data.a}}}}{inner}{{{{/unless}}}}",
            f"{{{{#each data.l}}}}{inner.replace('person.', '@root.person.').replace('data.', '@root.data.')}{{{{/each}}}}",
        ])
