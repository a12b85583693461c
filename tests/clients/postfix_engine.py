"""A private Postfix as an engine's own mail server: takes mail from this machine, and hands all of it to the relay."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "postfix"))
from postfix import Postfix, postfix  # noqa: E402

# In place of the first MTA's settings of the same names, and beside the others.
MAIN_CF = """\
virtual_mailbox_domains =
mynetworks = 127.0.0.0/8
smtpd_tls_security_level = none
smtpd_sasl_auth_enable = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
default_transport = {transport}
relay_transport = {transport}
relayhost = {relayhost}
# One recipient a transaction, so that each gets the first MTA's own answer at once.
{protocol}_destination_recipient_limit = 1
{protocol}_tls_security_level = {tls}
{protocol}_tls_CAfile = {ca}
{protocol}_tls_verify_cert_match = hostname
{protocol}_sasl_auth_enable = {sasl}
{protocol}_sasl_password_maps = texthash:{dir}/etc/relay-password
{protocol}_sasl_security_options = noanonymous
{protocol}_sasl_mechanism_filter = plain, login
{protocol}_host_lookup = native
"""
MASTER_CF = "smtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\n"


class PostfixEngine(Postfix):
    """`door` is where the relay listens: a port of this machine, or the path of a socket file for LMTP."""

    def __init__(self, protocol, door, ca, user, password):
        super().__init__()
        self.protocol, self.door, self.ca = protocol, door, ca
        self.relay_user, self.relay_password = user, password

    def write_files(self):
        super().write_files()
        is_port = isinstance(self.door, int)
        next_hop = f"[localhost]:{self.door}" if is_port else ""
        lmtp_hop = f"lmtp:inet:localhost:{self.door}" if is_port else f"lmtp:unix:{self.door}"
        ours = MAIN_CF.format(
            transport="smtp" if self.protocol == "smtp" else lmtp_hop, protocol=self.protocol, ca=self.ca, dir=self.dir,
            relayhost=next_hop if self.protocol == "smtp" else "", tls="verify" if is_port else "none",
            sasl="yes" if is_port else "no")
        main = self.dir / "etc" / "main.cf"
        main.write_text(without(main.read_text(), names(ours)) + ours)
        with (self.dir / "etc" / "master.cf").open("a") as file:
            file.write(MASTER_CF)
        hop = next_hop if self.protocol == "smtp" else f"localhost:{self.door}"
        (self.dir / "etc" / "relay-password").write_text(f"{hop} {self.relay_user}:{self.relay_password}\n")

    def flush(self):
        postfix(self.dir, "flush")

    def outcomes(self):
        """The lines of the log that say what became of a recipient."""
        return [line for line in (self.dir / "mail.log").read_text().splitlines() if "status=" in line]


def names(settings):
    return {line.split(" =")[0] for line in settings.splitlines() if " =" in line}


def without(settings, replaced):
    """The settings less those with one of these names; a line that begins with white space goes with the one before it."""
    kept, is_kept = [], True
    for line in settings.splitlines(keepends=True):
        if not line[:1].isspace():
            is_kept = line.split(" =")[0] not in replaced
        if is_kept:
            kept.append(line)
    return "".join(kept)
