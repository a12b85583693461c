"""The row of the journal: jobs that are on disk before they are answered, their delivery, and a restart with many held."""

import collections
import json
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request

from house import RELAY, Wrong, cpu_seconds, resident_mib

SMTP_SESSIONS = 50
# Each with 128 jobs on their way.
HTTP_STREAMS = 8
WARM_UP = 20000
# Longest pause before the relay looks again whether a dead target is back, and some.
BACK_WITHIN = 60
DRAINED_WITHIN = 900
ROUNDS_MAX = 3
# The disk that the goals speak of: what an fsync takes there.
SLOW_FSYNC_MS = 4
# Prints the median of a hundred appends of 4 KiB.
PROBE = """
import os, statistics, sys, time
times = []
with open(sys.argv[1], "wb", buffering=0) as file:
    for _ in range(100):
        file.write(b"x" * 4096)
        started = time.monotonic()
        os.fsync(file.fileno())
        times.append(time.monotonic() - started)
print(statistics.median(times) * 1e3)
"""


# Stands before the C library's calls, and lets none come back sooner. A tracer that holds them back would do as well, but
# takes an eighth of a processor itself, which a disk does not.
SLOW_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slowly(const char *name, int file) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    long nanoseconds = end.tv_nsec + atol(getenv("SLOW_FSYNC_US")) * 1000;
    end.tv_sec += nanoseconds / 1000000000;
    end.tv_nsec = nanoseconds % 1000000000;
    int done = ((int (*)(int))dlsym(RTLD_NEXT, name))(file);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) != 0) {}
    return done;
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
"""


class Durable:
    def __init__(self, house, args, tokens):
        self.house, self.args, self.tokens = house, args, tokens

    def figures(self):
        figures = collections.defaultdict(list)
        for _ in range(min(self.args.rounds, ROUNDS_MAX)):
            for name, values in self.round().items():
                figures[name] += values
        self.house.configure(accept="journal")
        under = self.slow_disk()
        slow = {"fsync_ms": [self.fsync_ms(*under)]} | self.held_and_drained(*under)
        figures |= {f"slow_disk_{name}": values for name, values in slow.items()}
        figures |= self.restart()
        self.house.configure()
        return figures

    def round(self):
        """With an empty journal: one that filled up would make the later rounds slower."""
        shutil.rmtree(self.house.folder / "state/journal", ignore_errors=True)
        figures = {"fsync_ms": [self.fsync_ms()]}
        figures |= self.relayed("handoff")
        self.house.configure(accept="journal")
        figures |= self.held_and_drained()
        figures["drain_of_handoff"] = [figures["drain_per_second"][0] / figures["handoff_per_second"][0]]
        return figures | self.relayed("auto")

    def held_and_drained(self, *under):
        """What is drained is what `handoff` hands off, and everybody was met before; messages that came over SMTP are more work."""
        relay, figures = self.start_relay(*under), {}
        self.take("http", min(WARM_UP, self.args.jobs), "--connections", HTTP_STREAMS)
        self.drain(relay)
        figures["http_per_second"] = [self.take("http", self.args.jobs, "--connections", HTTP_STREAMS)]
        figures["held_jobs"] = [self.gauge("journal_held_jobs")]
        figures |= {f"drain_{name}": [value] for name, value in self.drain(relay).items()}
        figures["smtp_per_second"] = [self.take("smtp", max(1, self.args.jobs // 4), "--connections", SMTP_SESSIONS)]
        figures |= {f"drain_smtp_{name}": [value] for name, value in self.drain(relay).items()}
        self.house.end(relay)
        return figures

    def fsync_ms(self, *under):
        path = self.house.folder / "fsync.probe"
        probe = subprocess.run([*under, sys.executable, "-c", PROBE, path], stdout=subprocess.PIPE, check=True, timeout=60)
        path.unlink()
        return float(probe.stdout)

    def slow_disk(self):
        """What a program has to be run under so that each fsync takes as long as the goals speak of."""
        shim = self.house.folder / "slow-disk.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", shim, "-ldl"], input=SLOW_DISK.encode(), check=True)
        return ("env", f"LD_PRELOAD={shim}", f"SLOW_FSYNC_US={SLOW_FSYNC_MS * 1000:.0f}")

    def relayed(self, accept):
        """With the target there: `handoff` keeps nothing, `auto` writes the outcome into the ledger behind the answer."""
        self.house.configure(accept=accept)
        self.house.open()
        self.house.load_http(self.tokens, "--rate", "max", "--jobs", min(WARM_UP, self.args.jobs))
        report = self.house.load_http(self.tokens, "--rate", "max", "--jobs", self.args.jobs)
        self.house.close()
        return {f"{accept}_per_second": [report["achieved"]], f"{accept}_relay_us": [report["relay_us"]]}

    def start_relay(self, *under):
        relay = self.house.start(*under, RELAY, "serve", "-c", self.house.config())
        self.house.wait_port(self.house.http_port, relay)
        return relay

    def take(self, door, jobs, *more):
        """Jobs a second that are on disk before their answer; nobody is there to take the messages."""
        content = {"http": ["--template", "bench", "--data", '{"order":"A-1"}'],
                   "smtp": ["--message", self.house.folder / "message.eml"]}[door]
        words = (RELAY, "load", "--door", door, "-c", self.house.config(), "--tokens", self.tokens, "--purpose", "service",
                 "--json", "--rate", "max", "--jobs", jobs, *content, *more)
        report = json.loads(subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, timeout=3600).stdout)
        # Over SMTP a 250 is all there is to see.
        told = {outcome["state"]: outcome["count"] for outcome in report["outcomes"]}
        if told != {"journaled" if door == "http" else "relayed": jobs}:
            raise Wrong(f"not every job was held: {told}")
        return report["achieved"]

    def gauge(self, name):
        context = ssl.create_default_context(cafile=self.house.folder / "certs/ca.pem")
        with urllib.request.urlopen(f"https://127.0.0.1:{self.house.http_port}/metrics", context=context) as page:
            return int(re.search(rf"^tokenrelay_{name} (\d+)", page.read().decode(), re.MULTILINE)[1])

    def drain(self, relay):
        """From the first message that leaves the journal to the last but a few: those that were tried while the target
        was not there wait for their next attempt."""
        held, before = self.gauge("journal_held_jobs"), cpu_seconds(relay.pid)
        sink = self.house.start_sink("--verify", self.house.folder / "proofs.csv")
        self.until(lambda now: now < held, BACK_WITHIN)
        first, started = self.gauge("journal_held_jobs"), time.monotonic()
        last = held // 20
        self.until(lambda now: now <= last, DRAINED_WITHIN)
        rate = (first - last) / (time.monotonic() - started)
        self.until(lambda now: now == 0, DRAINED_WITHIN)
        self.arrived(sink, held)
        return {"per_second": rate, "relay_us": (cpu_seconds(relay.pid) - before) / held * 1e6}

    def until(self, holds, seconds):
        end = time.monotonic() + seconds
        while not holds(self.gauge("journal_held_jobs")):
            if time.monotonic() > end:
                raise Wrong(f"after {seconds} s {self.gauge('journal_held_jobs')} jobs are held")
            time.sleep(0.02)

    def arrived(self, sink, count):
        stats = self.house.end_sink(sink)
        if stats["messages"] != count or stats["proofs"]["wrong"]:
            raise Wrong(f"{count} jobs were held, {stats['messages']} messages arrived, {stats['proofs']['wrong']} wrong ones")

    def restart(self):
        """Killed with many held jobs, then started again with the target there."""
        house, count = self.house, self.args.held
        relay = self.start_relay()
        self.take("http", count)
        house.end(relay, signal.SIGKILL)
        record = house.folder / "arrivals"
        sink = house.start_sink("--verify", house.folder / "proofs.csv", "--record", record)
        started = time.monotonic()
        relay = house.start(RELAY, "serve", "-c", house.config())
        house.wait_port(house.http_port, relay)
        doors = time.monotonic() - started
        while not (record.exists() and record.stat().st_size):
            if time.monotonic() - started > BACK_WITHIN:
                raise Wrong("nothing was delivered after the restart")
            time.sleep(0.005)
        first = time.monotonic() - started
        peak = resident_mib(relay.pid)
        while self.gauge("journal_held_jobs"):
            peak = max(peak, resident_mib(relay.pid))
            if time.monotonic() - started > DRAINED_WITHIN:
                raise Wrong("the held jobs were not delivered")
            time.sleep(0.1)
        house.end(relay)
        self.arrived(sink, count)
        return {"restart_jobs": [count], "restart_doors_s": [doors], "restart_first_delivery_s": [first], "restart_peak_mib": [peak],
                "journal_mib": [sum(file.stat().st_size for file in (house.folder / "state/journal").iterdir()) / 2**20]}
