"""A receiver that is known to be open to smuggling, for the sweep to be judged by: aiosmtpd 1.4.4.

    victim.py CERTIFICATE KEY RECORD        prints its two ports (clear, STARTTLS), and ends with its standard input

Every message it takes is one line of JSON in RECORD.
"""

import json
import ssl
import sys
from functools import partial

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


class Recorder:
    def __init__(self, record):
        self.record = open(record, "a", encoding="utf-8")

    async def handle_DATA(self, _server, _session, envelope):
        self.record.write(json.dumps({"sender": envelope.mail_from, "recipients": envelope.rcpt_tos}) + "\n")
        self.record.flush()
        return "250 OK"


class Door(Controller):
    """The library's own, with TLS behind STARTTLS where a context is given."""

    def __init__(self, handler, context=None):
        super().__init__(handler, hostname="127.0.0.1", port=0)
        self.make = partial(SMTP, handler, hostname="victim.test", tls_context=context, require_starttls=False)

    def factory(self):
        return self.make()

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def main():
    certificate, key, record = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    recorder = Recorder(record)
    doors = [Door(recorder), Door(recorder, context)]
    for door in doors:
        door.start()
    print(json.dumps([door.port for door in doors]), flush=True)
    sys.stdin.read()
    for door in doors:
        door.stop()


if __name__ == "__main__":
    main()
