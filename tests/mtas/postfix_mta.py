"""The private Postfix of tests/postfix, with further settings, as one of the first MTAs here."""

from first_mta import FirstMta
from postfix import Postfix


class PostfixMta(FirstMta):
    """`more` are lines of its main.cf, `sasl` the mechanisms it offers."""

    def __init__(self, more="", sasl="PLAIN LOGIN", utf8=True):
        super().__init__()
        self.postfix = Postfix(self.folder / "postfix", more=more, mechanisms=sasl)
        self.takes_utf8_addresses = utf8
        self.log, self.stop = self.postfix.log_tail, self.postfix.stop

    def is_running(self):
        return True  # it has greeted when `start` is back

    @property
    def ca(self):
        return self.postfix.dir / "tls" / "ca.pem"

    @property
    def mailbox(self):
        return self.postfix.mailbox

    def queued(self):
        return self.postfix.queued()

    def start(self):
        self.postfix.start()
        self.port, self.port_tls, self.user, self.password = (
            self.postfix.port, self.postfix.port_tls, self.postfix.user, self.postfix.password)
