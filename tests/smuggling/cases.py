"""What the sweep tries: every line end that some program might take for one, on both sides of every kind of dot.

Behind each stands a whole second transaction. A receiver that sees the end of the message there reads it as commands.
"""

from dataclasses import dataclass

ENDS = {"CRLF": b"\r\n", "LF": b"\n", "CR": b"\r", "CRCR": b"\r\r", "LFLF": b"\n\n", "LFCR": b"\n\r", "CRCRLF": b"\r\r\n",
        "CRNULLF": b"\r\0\n"}
DOTS = {".": b".", "..": b"..", ". ": b". ", ".NUL": b".\0", "NUL.": b"\0."}
# Where the stream is cut into writes.
CUTS = ("whole", "before the dot", "behind the dot", "within the line ends", "octet by octet")
# How the message is handed over.
FRAMINGS = ("DATA", "BDAT", "BDAT in chunks", "XPRT")
DOTTED = ("DATA", "XPRT")
NEIGHBOURHOOD = 6  # octets each side of the dot that are written one by one


@dataclass(frozen=True)
class Case:
    number: int
    before: str
    dot: str
    behind: str
    framing: str
    cut: str

    @property
    def is_end_of_data(self):
        """The one sequence that ends a message, and nothing else does."""
        return (self.before, self.dot, self.behind) == ("CRLF", ".", "CRLF") and self.framing in DOTTED

    @property
    def sender(self):
        return f"c{self.number}@case.example"

    @property
    def smuggler(self):
        return f"s{self.number}@case.example"

    def __str__(self):
        return f"{self.before} {self.dot!r} {self.behind}, {self.framing}, {self.cut}"

    def envelope(self, to):
        """The commands up to the content, as one write."""
        opening, last = {"DATA": ("MAIL", ["DATA"]), "XPRT": ("XMRG", ["XPRT 1 LAST"])}.get(self.framing, ("MAIL", []))
        return [f"{opening} FROM:<{self.sender}>", f"RCPT TO:<{to}>", *last]

    def stream(self, to, smuggled_to):
        """The octets from the first header field to the end of the message, and where the dot begins and ends."""
        head = (f"From: {self.sender}\r\nTo: <{to}>\r\nSubject: case {self.number}\r\n\r\nfirst part").encode()
        start = len(head) + len(ENDS[self.before])
        smuggled = (f"MAIL FROM:<{self.smuggler}>\r\nRCPT TO:<{smuggled_to}>\r\nDATA\r\n"
                    f"From: {self.smuggler}\r\nTo: <{smuggled_to}>\r\nSubject: smuggled\r\n\r\nsecond part").encode()
        octets = head + ENDS[self.before] + DOTS[self.dot] + ENDS[self.behind] + smuggled + b"\r\n"
        return octets, start, start + len(DOTS[self.dot])

    def writes(self, to, smuggled_to):
        """The same as the writes of a client, with what ends the message, and a QUIT behind it."""
        octets, start, end = self.stream(to, smuggled_to)
        if self.framing in DOTTED:
            octets += b".\r\nQUIT\r\n"
            marks = cut_marks(self.cut, start, end, len(ENDS[self.before]))
            return cut(octets, marks)
        if self.framing == "BDAT":
            command = f"BDAT {len(octets)} LAST\r\n".encode()
            marks = cut_marks(self.cut, start, end, len(ENDS[self.before]))
            return cut(command + octets + b"QUIT\r\n", [len(command) + mark for mark in marks])
        return [*chunked(octets, cut_marks(self.cut, start, end, len(ENDS[self.before]))), b"QUIT\r\n"]


def cut_marks(how, start, end, width):
    match how:
        case "whole":
            return []
        case "before the dot":
            return [start]
        case "behind the dot":
            return [end]
        case "within the line ends":
            return [start - width + 1, end + 1]
        case _:
            return list(range(start - NEIGHBOURHOOD, end + NEIGHBOURHOOD))


def cut(octets, marks):
    edges = [0, *marks, len(octets)]
    return [octets[start:end] for start, end in zip(edges, edges[1:]) if end > start]


def chunked(octets, marks):
    """Each piece as a chunk of its own."""
    pieces = cut(octets, marks)
    for at, piece in enumerate(pieces):
        last = " LAST" if at + 1 == len(pieces) else ""
        yield f"BDAT {len(piece)}{last}\r\n".encode() + piece


def cases(framings=FRAMINGS, cuts=CUTS, first=0):
    """All of them, numbered from `first`."""
    found = []
    for framing in framings:
        for how in cuts:
            if framing == "BDAT in chunks" and how == "whole" or framing == "XPRT" and how != "whole":
                continue  # the same as one chunk; read by what reads DATA
            for before in ENDS:
                for behind in ENDS:
                    for dot in DOTS:
                        found.append(Case(first + len(found), before, dot, behind, framing, how))
    return found
