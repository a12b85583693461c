"""Exim of Debian, as a first MTA. It runs as one user without any privilege, and offers PIPELINING, CHUNKING, SMTPUTF8 and LIMITS."""

from first_mta import FirstMta, make_certificates
from jail import Jail

CONFIG = """\
primary_hostname = mx.relay.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port} : {port_tls}
tls_on_connect_ports = {port_tls}
tls_advertise_hosts = *
tls_certificate = /tls/server.pem
tls_privatekey = /tls/server.key
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
deliver_drop_privilege = true
host_lookup =
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
message_size_limit = 50M
# It delivers each as it comes, however many come on a connection.
smtp_accept_queue_per_connection = 0
smtp_accept_max = 100
keep_environment =
{more}

begin acl
mail:
{mail}
  accept
rcpt:
  deny local_parts = ^refuse-
       message = 550 5.1.1 <$local_part@$domain> no mailbox here by that name
{rcpt}
  accept authenticated = *
         domains = *.test
  deny message = relay not permitted

begin routers
everyone:
  driver = accept
  transport = inbox

begin transports
inbox:
  driver = appendfile
  directory = /mail
  maildir_format
  create_directory
  headers_add = X-Original-To: $local_part@$domain
  user = Debian-exim

begin retry
* * F,1h,1s

begin authenticators
{logins}"""

PLAIN = """\
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{ {{eq{{$auth2}}{{relay}}}} {{eq{{$auth3}}{{{password}}}}} }} }}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""
LOGIN = """\
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{ {{eq{{$auth1}}{{relay}}}} {{eq{{$auth2}}{{{password}}}}} }} }}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""


class Exim(FirstMta):
    """`more` are lines of its main section, `mail` and `rcpt` of the ACLs for these commands."""

    def __init__(self, more="", mail="", rcpt="", logins=PLAIN + LOGIN):
        super().__init__()
        self.lines = {"more": more, "mail": mail, "rcpt": rcpt, "logins": logins.format(password=self.password)}
        self.jail = Jail("exim4-daemon-light", self.folder)
        self.is_running, self.stop = self.jail.is_running, self.jail.stop

    @property
    def mailbox(self):
        return self.folder / "mail" / "new"

    def log(self):
        mainlog = self.folder / "var" / "log" / "exim4" / "mainlog"
        return self.jail.log() + (mainlog.read_text(errors="replace") if mainlog.exists() else "")

    def queued(self):
        return len(list((self.folder / "var" / "spool" / "exim4" / "input").rglob("*-D")))

    def start(self):
        self.jail.build()
        make_certificates(self.jail.folder("tls"))
        (self.folder / "tls" / "server.key").chmod(0o644)  # it is nobody's secret, and read by another user
        self.jail.write("etc/exim4/exim4.conf", CONFIG.format(port=self.port, port_tls=self.port_tls, **self.lines))
        for name in ("var/spool/exim4", "var/log/exim4", "run/exim4", "mail"):
            self.jail.folder(name, owner="Debian-exim", mode=0o700)
        self.jail.start("/usr/sbin/exim4", "-bdf", "-oP", "/run/exim4/exim.pid", user="Debian-exim")
