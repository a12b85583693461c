"""Reads what strace saw of the relay, and says whether every positive answer left behind the fsync that covers its job.

A job is covered when its send number has been written to the write-ahead log, the frame that commits the transaction behind
it, and an fsync of that file that began behind both has succeeded. Before an answer begins to leave, all that must have ended.
The place of a line in the trace is the time: a call that is interrupted by another has a line for its begin and one for its end.
"""

import base64
import re
from collections import defaultdict

COMMAND = ("strace", "-f", "-yy", "-xx", "-s", "131072", "-e", "signal=none")
CALLS = "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg"
WAL = "journal.db-wal"

BEGIN = re.compile(r"^(\d+) (\w+)\((\d+)<(TCP[^\]]*\]|[^>]*)>(.*)$")
END = re.compile(r"^(\d+) <\.\.\. (\w+) resumed>.* = (-?\d+|\?)")
RESULT = re.compile(r" = (-?\d+|\?)(?: E\w+ .*)?$")
OCTET = re.compile(r"\\x([0-9a-f]{2})")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
ANSWERS = (re.compile(rb'"send":"(s_[a-z2-7]{26})","state":"(?:relayed|journaled|unknown)"'),
           re.compile(rb"250 2\.0\.0 Ok: [a-z, ]+ as (s_[a-z2-7]{26})"))


class Call:
    def __init__(self, at, thread, name, path, octets):
        self.begin, self.end, self.thread, self.name, self.path, self.octets = at, None, thread, name, path, octets
        self.result = None


def plain(text):
    return bytes.fromhex("".join(OCTET.findall(text)))


def read(path):
    """Every call, in the order in which they began."""
    calls, open_calls = [], {}
    with open(path, encoding="ascii", errors="replace") as lines:
        for at, line in enumerate(lines):
            begun = BEGIN.match(line)
            if begun:
                thread, name, _, file, rest = begun.groups()
                file = plain(file).decode(errors="replace") if file.startswith("\\x") else file
                call = Call(at, thread, name, file, b"".join(plain(each) for each in TEXT.findall(rest)))
                calls.append(call)
                ended = RESULT.search(rest)
                if ended and "<unfinished" not in rest:
                    call.end, call.result = at, ended[1]
                else:
                    open_calls[thread] = call
                continue
            ended = END.match(line)
            if ended and ended[1] in open_calls:
                call = open_calls.pop(ended[1])
                call.end, call.result = at, ended[3]
    return calls


def answers(calls, ports):
    """Send number of each positive answer, and when it began to leave through one of the doors at these ports."""
    streams = defaultdict(lambda: (bytearray(), []))
    for call in calls:
        local = re.match(r"TCP(?:v6)?:\[[^\]]*?:(\d+)->", call.path)
        if local and int(local[1]) in ports and call.octets:
            octets, starts = streams[call.path]
            starts.append((len(octets), call))
            octets += call.octets
    found = {}
    for octets, starts in streams.values():
        for form in ANSWERS:
            for match in form.finditer(bytes(octets)):
                leaves = next(call for start, call in reversed(starts) if start <= match.start())
                send = match[1].decode()
                found[send] = min(found.get(send, leaves.begin), leaves.begin)
    return found


def bits(send):
    text = send[2:].upper()
    return base64.b32decode(text + "=" * (-len(text) % 8))


def covered(calls, sends):
    """When each job was safe on disk: send number to the end of the fsync. None where no fsync ever covered it."""
    writes = [call for call in calls if call.path.endswith(WAL) and call.name == "pwrite64"]
    syncs = [call for call in calls if call.path.endswith(WAL) and call.name in ("fsync", "fdatasync")]
    commits = [call for at, call in enumerate(writes) if len(call.octets) == 24 and any(call.octets[4:8])]
    times = {}
    for send in sends:
        needle = bits(send)
        written = next((call for call in writes if needle in call.octets), None)
        if written is None:
            times[send] = None
            continue
        # The page that holds it may itself be the one that commits: its frame header is written before it.
        header = max((call for call in writes if len(call.octets) == 24 and call.begin < written.begin and call.thread == written.thread),
                     key=lambda call: call.begin, default=None)
        later = [call for call in commits if call.begin >= (header or written).begin]
        commit = min(later, key=lambda call: call.begin, default=None)
        if commit is None:
            times[send] = None
            continue
        page = next((call for call in writes if call.begin > commit.begin and call.thread == commit.thread), commit)
        whole = max(page.end or page.begin, written.end or written.begin)
        good = next((call for call in syncs if call.begin > whole and call.result == "0"), None)
        failed = next((call for call in syncs if call.result not in ("0", None, "?")), None)
        # Behind a failure the kernel no longer knows what is missing on disk: no later fsync of that file makes it good.
        is_good = good and not (failed and failed.begin < good.begin)
        times[send] = good.end if is_good else None
    return times


def judge(path, ports, accepted):
    """Problems of one trace. `accepted`: send numbers that the engine got positive answers for."""
    calls = read(path)
    left = answers(calls, ports)
    problems, early = [], []
    missing = set(accepted) - set(left)
    if missing:
        problems.append(f"{len(missing)} of {len(accepted)} answers were not seen leaving: the trace proves nothing")
    safe = covered(calls, left)
    for send, leaves in left.items():
        if safe[send] is None or safe[send] > leaves:
            early.append(send)
    if early:
        never = sum(safe[send] is None for send in early)
        problems.append(f"{len(early)} of {len(left)} positive answers left before an fsync covered them ({never} never were covered)")
    syncs = sum(call.path.endswith(WAL) and call.name in ("fsync", "fdatasync") for call in calls)
    return {"answers": len(left), "fsyncs": syncs}, problems
