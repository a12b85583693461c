"""The rows of the table: each gives its figures, round by round, with the peer's of the same round."""

import json
import pathlib
import re
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request

import content
import worst
from durable import Durable
from house import RELAY, Wrong, cpu_seconds, find, free_port, resident_mib
from peer_mta import PostfixRelay

SMALL, LARGE = 10 * 1024, 100 * 1024
SMALL_SLACK, LARGE_SLACK = 1024, 6 * 1024
WARM_PEOPLE = 20000
ROUND_TRIP_MS = 5.0
PEER_WITHIN = 600


class Rows:
    def __init__(self, house, args):
        self.house, self.args = house, args

    def rounds(self, one):
        """A list for each figure, an entry a round."""
        figures = {}
        for number in range(self.args.rounds):
            for name, value in one(number).items():
                figures.setdefault(name, []).append(value)
        return figures

    def warm_tokens(self):
        return self.house.tokens_file(0, min(WARM_PEOPLE, self.house.people))

    def jobs(self):
        return ["--rate", "max", "--jobs", self.args.jobs]

    def warm(self):
        house, tokens = self.house, self.warm_tokens()
        house.open()
        house.load_http(tokens, "--rate", "max", "--jobs", min(WARM_PEOPLE, house.people))

        def one(_):
            ours, peer = house.load_http(tokens, *self.jobs()), house.peer(self.args.jobs, SMALL)
            return {"relay_us": ours["relay_us"], "smtp_source_us": peer["us"], "ratio": ours["relay_us"] / peer["us"],
                    "per_second": ours["achieved"], "smtp_source_per_second": peer["per_second"],
                    "sink_us": ours["sink_us"], "generator_us": ours["cpu_us_per_job"]}

        figures = self.rounds(one)
        self.close(SMALL, SMALL_SLACK)
        return figures

    def cold(self):
        """Every token once: each round has people of its own."""
        house, count = self.house, self.args.people // self.args.rounds
        house.open()

        def one(number):
            tokens = house.tokens_file(number * count, count)
            ours, peer = house.load_http(tokens, "--rate", "max", "--jobs", count), house.peer(min(count, self.args.jobs), SMALL)
            return {"relay_us": ours["relay_us"], "smtp_source_us": peer["us"], "ratio": ours["relay_us"] / peer["us"],
                    "per_second": ours["achieved"], "sink_us": ours["sink_us"]}

        figures = self.rounds(one)
        stats = self.close(SMALL, SMALL_SLACK)
        if stats["proofs"]["distinct"] != count * self.args.rounds:
            raise Wrong(f"{stats['proofs']['distinct']} people had a message, not {count * self.args.rounds}")
        figures["people"] = [self.house.people]
        return figures

    def smtp(self):
        house, tokens = self.house, self.warm_tokens()
        house.open()
        for load in (house.load_http, house.load_smtp):
            load(tokens, "--rate", "max", "--jobs", min(WARM_PEOPLE, house.people))

        def one(_):
            smtp, http = house.load_smtp(tokens, *self.jobs()), house.load_http(tokens, *self.jobs())
            peer = house.peer(self.args.jobs, SMALL)
            return {"relay_us": smtp["relay_us"], "smtp_source_us": peer["us"], "ratio": smtp["relay_us"] / peer["us"],
                    "more_than_http_us": smtp["relay_us"] - http["relay_us"], "per_second": smtp["achieved"],
                    "generator_us": smtp["cpu_us_per_job"]}

        figures = self.rounds(one)
        self.close(SMALL, SMALL_SLACK)
        return figures

    def large(self):
        house, tokens = self.house, self.warm_tokens()
        octets = self.octets_of("large")
        house.open()
        house.load_http(tokens, "--rate", "max", "--jobs", min(WARM_PEOPLE, house.people))
        count = max(1, self.args.jobs // 4)

        def one(_):
            small = house.load_http(tokens, "--rate", "max", "--jobs", count)
            large = house.load_http(tokens, "--rate", "max", "--jobs", count, template="large")
            peer_small, peer_large = house.peer(count, SMALL), house.peer(count, octets)
            kib = (octets - SMALL) / 1024
            ours, theirs = (large["relay_us"] - small["relay_us"]) / kib, (peer_large["us"] - peer_small["us"]) / kib
            return {"relay_us": large["relay_us"], "smtp_source_us": peer_large["us"], "ratio": large["relay_us"] / peer_large["us"],
                    "us_per_kib": large["relay_us"] / octets * 1024, "small_us_per_kib": small["relay_us"] / SMALL * 1024,
                    "us_per_further_kib": ours, "smtp_source_us_per_further_kib": theirs}

        figures = self.rounds(one)
        self.close()
        figures["octets"] = [octets]
        return figures

    def octets_of(self, template):
        self.house.open()
        self.house.load_http(self.warm_tokens(), "--rate", "max", "--jobs", 100, template=template)
        octets = round(self.close()["octets"] / 100)
        if abs(octets - LARGE) > LARGE_SLACK:
            raise Wrong(f"messages of '{template}' have {octets} octets, not about {LARGE}")
        return octets

    def close(self, octets=None, slack=0):
        stats = self.house.close()
        found = stats["octets"] / max(1, stats["messages"])
        if octets and abs(found - octets) > slack:
            raise Wrong(f"messages have {found:.0f} octets, the peer's {octets}")
        return stats

    def journal(self):
        return Durable(self.house, self.args, self.warm_tokens()).figures()

    def postfix(self):
        """Postfix with its queue on disk, and ours with the same promise, on the same disk; then ours without a queue."""
        house = self.house
        house.configure(accept="journal")
        house.open()
        durable = Durable(house, self.args, self.warm_tokens())
        self.through_journal(durable, "http", min(WARM_PEOPLE, house.people))

        def one(_):
            theirs, ours = self.through_postfix(max(500, self.args.jobs // 10)), self.through_journal(durable, "smtp", self.args.jobs // 2)
            return theirs | ours | {"times_its_rate": ours["per_second"] / theirs["postfix_per_second"]}

        figures = self.rounds(one)
        self.close(SMALL, SMALL_SLACK)
        house.configure()
        return figures

    def through_postfix(self, count):
        """From the first message that smtp-source offers to the last one that the sink has taken."""
        house, port = self.house, free_port()
        sink = house.start(RELAY, "sink", "--listen", f"127.0.0.1:{port}", "--json")
        house.wait_port(port, sink)
        with PostfixRelay(house.folder / "postfix", port) as mta:
            before, started = mta.cpu_seconds(), time.monotonic()
            subprocess.run([find("smtp-source"), "-d", "-s", "20", "-l", str(SMALL), "-m", str(count), "-f", "a@brand.example",
                            "-t", "b@people.test", f"127.0.0.1:{mta.port}"], check=True)
            while mta.queued():
                if time.monotonic() - started > PEER_WITHIN:
                    raise Wrong(f"Postfix still has {mta.queued()} messages; its log:\n{mta.log_tail()}")
                time.sleep(0.05)
            seconds, cpu = time.monotonic() - started, mta.cpu_seconds() - before
        if (taken := house.end_sink(sink)["messages"]) != count:
            raise Wrong(f"{taken} of {count} messages came through Postfix")
        return {"postfix_us": cpu / count * 1e6, "postfix_per_second": count / seconds}

    def through_journal(self, durable, door, count):
        """From the first job that the generator offers to the last one that left the journal."""
        house = self.house
        before, started = cpu_seconds(house.relay.pid), time.monotonic()
        durable.take(door, count, "--connections", {"http": 1, "smtp": 20}[door])
        durable.until(lambda held: held == 0, PEER_WITHIN)
        seconds, cpu = time.monotonic() - started, cpu_seconds(house.relay.pid) - before
        house.relayed += count
        return {"relay_us": cpu / count * 1e6, "per_second": count / seconds}

    def latency(self):
        """Light load, open loop: through the relay, and straight into the sink from the same generator."""
        house, tokens = self.house, self.warm_tokens()
        secret = (house.folder / "keys/campaigns.secret").read_text().strip()
        paced = ["--rate", str(self.args.light_rate), "--for", f"{self.args.seconds}s"]
        house.open()
        house.load_http(tokens, "--rate", "max", "--jobs", min(WARM_PEOPLE, house.people))
        own_port = house.sink_port
        house.sink_port = free_port()
        direct_sink = house.start_sink("--auth", f"campaigns:{secret}")
        direct_port, house.sink_port = house.sink_port, own_port

        def one(_):
            before, (through, sent) = self.metrics(), self.through(tokens, paced)
            after, (direct, _) = self.metrics(), self.direct(direct_port, tokens, paced)
            figures = relay_times(before, after, sent)
            sums = [f"tokenrelay_stage_{stage}_seconds_sum" for stage in ("resolve", "render", "inject")]
            figures |= {f"{name.split('_')[2]}_mean_us": (after[name] - before[name]) / sent * 1e6 for name in sums}
            figures |= {f"through_{name}_us": through[name] for name in ("p50", "p99")}
            figures |= {f"direct_{name}_us": direct[name] for name in ("p50", "p99")}
            return figures | {f"added_{name}_us": through[name] - direct[name] for name in ("p50", "p99")}

        figures = self.rounds(one)
        self.close()
        house.end_sink(direct_sink)
        return figures

    def through(self, tokens, paced):
        report = self.house.load_http(tokens, *paced)
        return report["latency_us"], report["relayed"]

    def direct(self, port, tokens, paced):
        """The generator's own message of the same size, to a sink of its own."""
        folder = self.house.folder
        run = subprocess.run([str(word) for word in (
            RELAY, "load", "--door", "smtp", "--url", f"smtp://127.0.0.1:{port}", "--user", "campaigns", "--key",
            f"file:{folder}/keys/campaigns.secret", "--ca", folder / "certs/ca.pem", "--token-domain", "tokens.example", "--tokens", tokens,
            "--message", folder / "message.eml", "--connections", 1, "--json", *paced)], stdout=subprocess.PIPE, check=True)
        report = json.loads(run.stdout)
        if report["failed"]:
            raise Wrong(f"{report['failed']} messages did not reach the sink: {report['outcomes']}")
        return report["latency_us"], report["relayed"]

    def metrics(self):
        """The relay's own metrics: a number for each name with its labels."""
        context = ssl.create_default_context(cafile=self.house.folder / "certs/ca.pem")
        with urllib.request.urlopen(f"https://127.0.0.1:{self.house.http_port}/metrics", context=context) as page:
            text = page.read().decode()
        return {name: float(value) for name, value in re.findall(r"^(tokenrelay_\S+) (\S+)$", text, re.MULTILINE)}

    def roundtrip(self):
        """One connection to a target five milliseconds away."""
        return self.over_wire("pipelining", "no-chunking") | self.over_wire("chunking", "accept")

    def over_wire(self, name, profile):
        house, port = self.house, free_port()
        house.configure("connections_max = 1\nmessages_per_connection_max = 100000\n", port)
        house.open("--verify", house.folder / "proofs.csv", "--profile", profile)
        turns = house.folder / "turns"
        wire = house.start(sys.executable, pathlib.Path(__file__).with_name("delay.py"), "--listen", port, "--to", house.sink_port,
                           "--round-trip-ms", ROUND_TRIP_MS, "--turns", turns)
        house.wait_port(port, wire)
        tokens = self.warm_tokens()
        house.load_http(tokens, "--rate", "max", "--jobs", 50)

        def one(_):
            round_trip, before = measured_round_trip(port), turns_of(turns)
            report = house.load_http(tokens, "--rate", "max", "--jobs", self.args.wire_jobs)
            # Nothing was in front of the first envelope that could have carried it.
            taken = turns_of(turns) - before - 1
            return {f"{name}_per_turn": report["relayed"] / taken, f"{name}_per_round_trip": report["achieved"] * round_trip,
                    f"{name}_round_trip_ms": round_trip * 1e3}

        figures = self.rounds(one)
        house.close()
        house.end(wire)
        house.configure()
        return figures

    def worst(self):
        """Content that is dear to walk, as a multiple of plain text of the same size; one round, for each message is large."""
        by_data = worst.path(self.house, "data", "no-chunking", is_chunked=False)
        return {name: [value] for name, value in (by_data | worst.path(self.house, "bdat", "accept", is_chunked=True)).items()}

    def memory(self):
        """Resident memory while one request carries a job for every person."""
        house, count = self.house, self.house.people
        jobs, results = house.folder / "memory.ndjson", house.folder / "memory-results.ndjson"
        with jobs.open("w") as file:
            for n, token in enumerate(house.tokens):
                file.write(f'{{"job_id":"m-{n}","to":"{token}@tokens.example","template":"bench","data":{{"order":"{content.ORDER}"}},'
                           '"campaign":"bench"}\n')
        house.open()
        before = resident_mib(house.relay.pid)
        samples, cpu, started = [], cpu_seconds(house.relay.pid), time.monotonic()
        send = house.start(RELAY, "send", jobs, "-c", house.config(), "--results", results, "--json")
        while send.poll() is None:
            samples.append(resident_mib(house.relay.pid))
            time.sleep(0.1)
        if send.returncode != 0:
            raise Wrong(f"not every job of the long stream was relayed: {send.log.read_text()[-300:]}")
        seconds, cpu = time.monotonic() - started, cpu_seconds(house.relay.pid) - cpu
        house.relayed += count
        stats = self.close(SMALL, SMALL_SLACK)
        if stats["proofs"]["distinct"] != count:
            raise Wrong(f"{stats['proofs']['distinct']} of {count} people had a message")
        jobs.unlink()
        results.unlink()
        half = len(samples) // 2
        return {"jobs": [count], "start_mib": [before], "half_mib": [max(samples[:half])], "peak_mib": [max(samples)],
                "growth_in_second_half_mib": [max(0.0, max(samples[half:]) - max(samples[:half]))],
                "relay_us": [cpu / count * 1e6], "per_second": [count / seconds]}


def relay_times(before, after, sent):
    """Percentiles of the time in the relay, of the messages between two looks at its metrics."""
    counts = []
    for name, count in after.items():
        if bucket := re.fullmatch(r'tokenrelay_relay_seconds_bucket\{le="(\S+)"\}', name):
            counts.append((float(bucket[1]), count - before[name]))
    counts.sort()
    if counts[-1][1] != sent:
        raise Wrong(f"the relay timed {counts[-1][1]:.0f} of {sent} messages")
    return {f"relay_p{percent}_us": percentile(counts, sent * percent / 100) * 1e6 for percent in (50, 90, 99)}


def percentile(counts, rank):
    """Where the rank lies, as if the messages of a bucket were evenly spread over it; in the last bucket, its beginning."""
    low, before = 0.0, 0.0
    for high, count in counts:
        if count >= rank:
            return low if high == float("inf") else low + (high - low) * (rank - before) / (count - before)
        low, before = high, count
    raise Wrong("no bucket holds that rank")


def turns_of(path):
    return int.from_bytes(path.read_bytes(), "little")


def measured_round_trip(port):
    """Seconds for a NOOP and its answer over the slow wire, the median of some."""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.recv(1000)
        times = []
        for _ in range(20):
            started = time.monotonic()
            wire.sendall(b"NOOP\r\n")
            wire.recv(1000)
            times.append(time.monotonic() - started)
    return statistics.median(times)
