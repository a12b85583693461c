#!/usr/bin/env python3
"""Real first MTAs behind the relay: Haraka, smtp-server, OpenSMTPD, Exim and Postfix, as shipped and as sites set them up. 300 people
in five locales each get their own message, once, with their values in it; whom the MTA does not know is refused, and nobody else.

    run.py PATH-OF-TOKENRELAY [SETUP...]

A setup is one of those below, or the beginning of their names ("exim"). KEEP_LAB=1 keeps the folders.
"""

import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "clients"), str(HERE.parent / "postfix")]
import campaign  # noqa: E402
from campaign import Fate  # noqa: E402
from exim import LOGIN, Exim  # noqa: E402
from first_mta import MtaError  # noqa: E402
from jail import JailError, NoJail  # noqa: E402
from node_mtas import Haraka, SmtpServer  # noqa: E402
from opensmtpd import OpenSmtpd  # noqa: E402
from postfix import PostfixError  # noqa: E402
from postfix_mta import PostfixMta  # noqa: E402
from relay import IDENTITY, Lab, LabError, free_ports  # noqa: E402
from verify import verify  # noqa: E402

DELIVERY_SECONDS_MAX = 60
SHOWN_MAX = 10
# Much of a setup is waiting: for a daemon to start, for a queue to be worked off.
SIDE_BY_SIDE = 2
# A busy machine may take longer than the ten seconds that are enough for an idle one.
LIMITS = {"handoff_wait": "30s"}
# What is put off is tried again soon.
JOURNAL = '[journal]\nretry_first = "1s"\nretry_max = "2s"\n'


@dataclass
class Setup:
    """One first MTA as somebody runs it."""

    name: str
    mta: Callable
    tls: str = "starttls"
    unknown_every: int = 0
    # Further keys of the target.
    lines: str = ""
    # An MTA that says "later" may make the relay hold a job; otherwise everything has to be relayed at once.
    fate: Fate = Fate.ARRIVES
    big: Fate | None = None
    unknown: Fate = Fate.REFUSED
    gives_login: bool = True

    def fate_of(self, letter):
        if not letter.is_known():
            return self.unknown
        return self.big or self.fate if letter.is_big else self.fate


SETUPS = [
    Setup("haraka", Haraka),
    Setup("haraka-implicit", Haraka, tls="implicit"),
    Setup("haraka-unknown", Haraka, unknown_every=10),
    Setup("smtp-server", SmtpServer),
    Setup("smtp-server-bare", lambda: SmtpServer(hidePIPELINING=True, hide8BITMIME=True, hideSMTPUTF8=True, size=1_000_000)),
    Setup("smtp-server-implicit", lambda: SmtpServer(hideSTARTTLS=True, disabledCommands=["STARTTLS"]), tls="implicit"),
    Setup("smtp-server-login", lambda: SmtpServer(authMethods=["LOGIN"]), unknown_every=10),
    Setup("smtp-server-small", lambda: SmtpServer(size=60_000), big=Fate.REFUSED),
    Setup("smtp-server-small-unsaid", lambda: SmtpServer(size=60_000, hideSize=True), big=Fate.REFUSED),
    Setup("smtp-server-no-login", SmtpServer, gives_login=False, fate=Fate.WAITS),
    Setup("smtp-server-crowded", lambda: SmtpServer(maxClients=3)),
    Setup("opensmtpd", OpenSmtpd),
    Setup("opensmtpd-one-session", OpenSmtpd, lines="connections_max = 1\n"),
    Setup("opensmtpd-seven-mails", lambda: OpenSmtpd("smtp limit max-mails 7\n"), tls="implicit"),
    # With every second unknown the relay takes it, here and there, for an MTA that takes nobody, since its words are the same.
    Setup("opensmtpd-unknown", OpenSmtpd, unknown_every=10, unknown=Fate.REFUSED_OR_WAITS),
    Setup("opensmtpd-no-login", OpenSmtpd, gives_login=False, fate=Fate.WAITS),
    Setup("exim", Exim),
    Setup("exim-no-chunking", lambda: Exim("chunking_advertise_hosts =\n"), unknown_every=10),
    Setup("exim-no-pipelining", lambda: Exim("pipelining_advertise_hosts =\nchunking_advertise_hosts =\n")),
    Setup("exim-ten-mails", lambda: Exim("smtp_accept_max_per_connection = 10\n"), unknown_every=10),
    Setup("exim-ten-mails-unsaid", lambda: Exim("smtp_accept_max_per_connection = 10\nlimits_advertise_hosts = !*\n"), tls="implicit"),
    # Where half are refused, some wait: the MTA may have a part of its table only.
    Setup("exim-unknown", Exim, unknown_every=2, unknown=Fate.REFUSED_OR_WAITS),
    Setup("exim-login", lambda: Exim(logins=LOGIN)),
    Setup("exim-crowded", lambda: Exim("smtp_accept_max_per_host = 3\n")),
    Setup("exim-rate", lambda: Exim(mail=(
        "  defer ratelimit = 60 / 1s / strict / $sender_host_address\n        message = 450 4.7.1 too much mail from you\n")), fate=Fate.ARRIVES_OR_IS_HELD),
    Setup("exim-no-login", Exim, gives_login=False, fate=Fate.WAITS),
    Setup("exim-no-login-at-mail", lambda: Exim(mail="  deny !authenticated = *\n       message = authentication required\n"),
          gives_login=False, fate=Fate.WAITS),
    Setup("postfix", PostfixMta),
    Setup("postfix-implicit-login", lambda: PostfixMta(sasl="LOGIN"), tls="implicit"),
    Setup("postfix-no-login", lambda: PostfixMta(
        "smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\nsmtpd_recipient_restrictions =\n"
        "virtual_mailbox_domains =\n"), gives_login=False, fate=Fate.WAITS),
    # As the submission service of Debian's master.cf has it.
    Setup("postfix-submission-no-login", lambda: PostfixMta(
        "smtpd_relay_restrictions = permit_sasl_authenticated, reject\nsmtpd_recipient_restrictions =\n"),
          gives_login=False, fate=Fate.WAITS),
    Setup("postfix-one-recipient", lambda: PostfixMta("smtpd_recipient_limit = 1\nsmtpd_recipient_overshoot_limit = 1\n")),
    Setup("postfix-hard-errors", lambda: PostfixMta("smtpd_hard_error_limit = 3\n"), unknown_every=5),
    Setup("postfix-unknown", PostfixMta, unknown_every=2, unknown=Fate.REFUSED_OR_WAITS),
    # It answers for those it does not know a second late, so towards the end several in a row, like an MTA whose table is gone: here
    # and there the engine is told to come again.
    Setup("postfix-soft-errors", lambda: PostfixMta("smtpd_soft_error_limit = 1\nsmtpd_error_sleep_time = 1s\n"), unknown_every=20,
          unknown=Fate.REFUSED_OR_WAITS),
    Setup("postfix-no-chunking", lambda: PostfixMta("smtpd_discard_ehlo_keywords = chunking\nsmtpd_hard_error_limit = 3\n"), unknown_every=5),
    Setup("postfix-bare", lambda: PostfixMta(
        "smtpd_discard_ehlo_keywords = chunking, pipelining, 8bitmime, smtputf8, dsn, size\nsmtputf8_enable = no\n", utf8=False)),
    Setup("postfix-rate", lambda: PostfixMta("smtpd_client_message_rate_limit = 60\nanvil_rate_time_unit = 2s\n"), fate=Fate.ARRIVES_OR_IS_HELD),
    Setup("postfix-crowded", lambda: PostfixMta("smtpd_client_connection_count_limit = 3\n")),
    Setup("postfix-strangers", lambda: PostfixMta("smtpd_client_new_tls_session_rate_limit = 5\nanvil_rate_time_unit = 2s\n"), fate=Fate.ARRIVES_OR_IS_HELD),
]


@dataclass
class Outcome:
    problems: list
    told: str
    seconds: float = 0.0
    is_skipped: bool = False


def tried(binary, setup):
    """One setup from its start to its end. Only a machine that cannot have it at all skips it."""
    began = time.monotonic()
    try:
        outcome = run(binary, setup)
    except NoJail as why:
        outcome = Outcome([], f"SKIPPED: {why}", is_skipped=True)
    except (MtaError, JailError, PostfixError, LabError, OSError) as wrong:
        outcome = Outcome([(setup.name, f"{type(wrong).__name__}: {wrong}")], "not run")
    outcome.seconds = time.monotonic() - began
    return outcome


def run(binary, setup):
    with setup.mta() as mta:
        [http_port] = free_ports(1)
        target = {"port": mta.port_tls if setup.tls == "implicit" else mta.port, "tls": setup.tls, "ca": str(mta.ca), "lines": setup.lines}
        if setup.gives_login:
            target |= {"user": mta.user, "password": mta.password}
        people = campaign.invent(mta.takes_utf8_addresses, setup.unknown_every)
        doors = [("http", f"127.0.0.1:{http_port}", "implicit", IDENTITY)]
        with Lab(binary, people, target=target, doors=doors, limits=LIMITS,
                 accept="auto" if setup.fate is Fate.ARRIVES_OR_IS_HELD else "handoff", more=JOURNAL) as lab:
            outcome = carry(lab, http_port, mta, setup)
            if not lab.stop():
                outcome.problems.append(("relay", "it did not end in peace"))
        if outcome.problems and os.environ.get("KEEP_LAB"):
            print(mta.log()[-3000:])
        return outcome


def carry(lab, http_port, mta, setup):
    written = campaign.letters(lab)
    answers = campaign.submit(lab, http_port, written)
    fates = {letter: setup.fate_of(letter) for letter in written}
    problems = list(campaign.judge(answers, fates))
    expected = [letter.expected() for letter, fate in fates.items() if fate in (Fate.ARRIVES, Fate.ARRIVES_OR_IS_HELD)]
    promised = sum(answer.state in ("relayed", "journaled") for answer in answers.values())
    deadline = time.monotonic() + DELIVERY_SECONDS_MAX
    while time.monotonic() < deadline and (mta.delivered() < promised or mta.queued()):
        time.sleep(0.1)
    good, wrong = verify(mta.mailbox, expected) if mta.mailbox.exists() else (0, [("all", "nothing arrived")] if expected else [])
    for person in lab.people:
        if any(person[key] in lab.log for key in ("email", "street")):
            problems.append(("log", f"it names {person['customer_id']}"))
    states = Counter(answer.state for answer in answers.values())
    told = f"{good} of {len(expected)} as expected; " + ", ".join(f"{count} {state}" for state, count in states.most_common())
    return Outcome(problems + wrong, told)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    binary, wanted = Path(sys.argv[1]).resolve(), sys.argv[2:]
    chosen = [setup for setup in SETUPS if not wanted or any(setup.name.startswith(name) for name in wanted)]
    if not chosen:
        sys.exit(f"no setup begins with {wanted}; there are: {' '.join(setup.name for setup in SETUPS)}")
    failed, skipped = [], []
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for setup, outcome in zip(chosen, pool.map(partial(tried, binary), chosen)):
            print(f"{setup.name:24} {outcome.told}, {outcome.seconds:.1f} s", flush=True)
            for whom, problem in outcome.problems[:SHOWN_MAX]:
                print(f"    {whom}: {problem}")
            if outcome.problems:
                failed.append(setup.name)
            if outcome.is_skipped:
                skipped.append(setup.name)
    print(f"{len(chosen) - len(failed) - len(skipped)} passed, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}"
          f"{', SKIPPED ' + ', '.join(skipped) if skipped else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
