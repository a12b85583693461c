"""OpenSMTPD of Debian, as a first MTA. It offers neither PIPELINING nor CHUNKING nor SMTPUTF8, and takes 100 messages a session."""

import subprocess

from first_mta import FirstMta, make_certificates
from jail import Jail

CONFIG = """\
pki mx.relay.test cert "/tls/server.pem"
pki mx.relay.test key "/tls/server.key"
table logins {{ "relay" = "{password}" }}
table everyone {{ "@" = "vmail" }}
smtp max-message-size 50M
{more}
listen on 127.0.0.1 port {port} hostname mx.relay.test tls-require pki mx.relay.test auth <logins>
listen on 127.0.0.1 port {port_tls} hostname mx.relay.test smtps pki mx.relay.test auth <logins>
action "inbox" maildir "/mail" virtual <everyone>
match from any for rcpt-to regex "^refuse-" reject
match auth from any for domain regex "\\.test$" action "inbox"
"""


class OpenSmtpd(FirstMta):
    takes_utf8_addresses = False

    def __init__(self, more=""):
        super().__init__()
        self.more = more
        self.jail = Jail("opensmtpd", self.folder)
        self.log, self.is_running, self.stop = self.jail.log, self.jail.is_running, self.jail.stop

    @property
    def mailbox(self):
        return self.folder / "mail" / "new"

    def queued(self):
        return len(list((self.folder / "var" / "spool" / "smtpd" / "queue").glob("*/*/message")))

    def start(self):
        self.jail.build()
        make_certificates(self.jail.folder("tls"))
        self.jail.write("etc/ssl/certs/ca-certificates.crt", self.ca.read_text())
        password = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self.password, capture_output=True, text=True, check=True)
        self.jail.write("etc/smtpd.conf", CONFIG.format(password=password.stdout.strip(), more=self.more, port=self.port, port_tls=self.port_tls))
        self.jail.write("etc/mailname", "mx.relay.test\n")
        self.jail.folder("mail", owner="vmail", mode=0o700)
        self.jail.folder("var/lib/opensmtpd/empty")
        self.jail.folder("var/spool")
        self.jail.start("/usr/sbin/smtpd", "-d")
