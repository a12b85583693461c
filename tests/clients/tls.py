#!/usr/bin/env python3
"""The TLS libraries of others at the doors: OpenSSL, Python, Java, curl and, where it is installed, GnuTLS, in either version of the
protocol, with records of any size. A message of several hundred KiB has to arrive whole over each, and an answer come back.

    tls.py PATH-OF-TOKENRELAY
"""

import base64
import hashlib
import re
import shutil
import smtplib
import ssl
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from relay import IDENTITY, USER, Lab, free_ports, wait_port  # noqa: E402

VERSIONS = {"1.2": ("-tls1_2", ssl.TLSVersion.TLSv1_2), "1.3": ("-tls1_3", ssl.TLSVersion.TLSv1_3)}
SIZES = {"as it comes": [], "512": ["-max_send_frag", "512"], "split": ["-split_send_frag", "700", "-max_pipelines", "1"]}
JAVA = """
import java.io.*; import java.security.KeyStore; import java.security.cert.*; import javax.net.ssl.*;
public class Session {
  public static void main(String[] args) throws Exception {
    KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType()); trusted.load(null, null);
    trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(args[1])));
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm()); trust.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS"); context.init(null, trust.getTrustManagers(), null);
    SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("127.0.0.1", Integer.parseInt(args[0]));
    socket.setEnabledProtocols(new String[] { "TLSv" + args[2] });
    OutputStream out = socket.getOutputStream(); out.write(System.in.readAllBytes()); out.flush();
    socket.getInputStream().transferTo(System.out); System.out.flush();
  }
}
"""


def content(lab, marker):
    lines = "".join(f"{marker} {number:06} {'x' * 60}\r\n" for number in range(4000))
    return f"From: news@brand.example\r\nTo: {lab.address(lab.people[0])}\r\nSubject: {marker}\r\n\r\n{lines}"


def session(lab, marker):
    """A whole session, sent at once; the relay takes it as it comes."""
    login = base64.b64encode(f"\0{USER}\0{lab.secret}".encode()).decode()
    return (f"EHLO engine.example\r\nAUTH PLAIN {login}\r\nMAIL FROM:<news@brand.example>\r\nRCPT TO:<{lab.address(lab.people[0])}>\r\n"
            f"DATA\r\n{content(lab, marker)}.\r\nQUIT\r\n").encode()


def piped(command, sent):
    """What a client prints until the relay closes; its input stays open so long, lest it hangs up first."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        client.stdin.write(sent)
        client.stdin.flush()
        heard = client.stdout.read()
    return heard.decode(errors="replace")


def openssl(lab, marker, version, size):
    return piped(["openssl", "s_client", "-quiet", "-nocommands", "-connect", f"127.0.0.1:{lab.smtps_port}", "-CAfile", lab.ca,
                  "-verify_return_error", VERSIONS[version][0], *SIZES[size]], session(lab, marker))


def python(lab, marker, version, port, wrap):
    context = lab.tls()
    context.minimum_version = context.maximum_version = VERSIONS[version][1]
    smtp = smtplib.SMTP_SSL("127.0.0.1", port, context=context) if wrap else smtplib.SMTP("127.0.0.1", port)
    with smtp:
        if not wrap:
            smtp.starttls(context=context)
        smtp.login(USER, lab.secret)
        smtp.sendmail("news@brand.example", [lab.address(lab.people[0])], content(lab, marker))
    return "250 \n221 "


def java(lab, marker, version):
    source = lab.folder / "Session.java"
    source.write_text(JAVA)
    done = subprocess.run(["java", source, str(lab.smtps_port), lab.ca, version], input=session(lab, marker), capture_output=True, timeout=120)
    return (done.stdout + done.stderr).decode(errors="replace")


def gnutls(lab, marker, version):
    priority = f"NORMAL:-VERS-ALL:+VERS-TLS{version}"
    return piped(["gnutls-cli", "--x509cafile", lab.ca, "--priority", priority, "-p", str(lab.smtps_port), "127.0.0.1"], session(lab, marker))


def curl(lab, marker, version, http_port, protocol):
    body = lab.folder / "content.eml"
    body.write_text(content(lab, marker), newline="")
    done = subprocess.run(["curl", "-sS", "-i", "--cacert", lab.ca, f"--tlsv{version}", "--tls-max", version, protocol, "-H",
                           f"Authorization: Bearer {lab.secret}", f"https://127.0.0.1:{http_port}/v1/status"], capture_output=True, text=True, timeout=60)
    sent = subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", lab.ca, f"--tlsv{version}", "--tls-max", version, "--mail-from",
                           "news@brand.example", "--mail-rcpt", lab.address(lab.people[0]), "-T", body, "--user", f"{USER}:{lab.secret}",
                           f"smtp://127.0.0.1:{lab.smtp_port}"], capture_output=True, text=True, timeout=60)
    answered = re.match(r"HTTP/\S+ \d", done.stdout) and sent.returncode == 0
    return "250 \n221 " if answered else done.stdout + done.stderr + sent.stderr


def ways(lab, http_port):
    for version in VERSIONS:
        for size in SIZES:
            yield f"openssl {version}, records {size}", lambda marker, v=version, s=size: openssl(lab, marker, v, s)
        yield f"python {version}, STARTTLS", lambda marker, v=version: python(lab, marker, v, lab.smtp_port, False)
        yield f"python {version}, implicit", lambda marker, v=version: python(lab, marker, v, lab.smtps_port, True)
        for protocol in ("--http1.1", "--http2"):
            yield f"curl {version} {protocol}", lambda marker, v=version, p=protocol: curl(lab, marker, v, http_port, p)
        if shutil.which("java"):
            yield f"java {version}", lambda marker, v=version: java(lab, marker, v)
        if shutil.which("gnutls-cli"):
            yield f"gnutls {version}", lambda marker, v=version: gnutls(lab, marker, v)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    people = [{"customer_id": "one", "email": "one@people.test", "first_name": "One", "consent": "service"}]
    [http_port] = free_ports(1)
    failed = []
    with Lab(sys.argv[1], people, doors=[("http", f"127.0.0.1:{http_port}", "implicit", IDENTITY)]) as lab:
        wait_port(http_port, lab.relay, lambda: lab.log)
        for number, (name, send) in enumerate(ways(lab, http_port)):
            marker = f"way{number:02}"
            heard = send(marker)
            wanted = hashlib.sha256(content(lab, marker).split("\r\n\r\n", 1)[1].encode()).hexdigest()
            found = [mail for _, mail in lab.arrived() if f"Subject: {marker}".encode() in mail]
            got = [hashlib.sha256(mail.split(b"\r\n\r\n", 1)[1]).hexdigest() for mail in found]
            is_right = got == [wanted] and re.search(r"^221 |\n221 ", heard)
            print(f"{name:40} {'ok' if is_right else 'FAILED'}")
            if not is_right:
                failed.append(name)
                print(f"  {len(got)} arrived; heard: {heard[-400:]!r}")
        if "panic" in lab.log:
            failed.append("a task of the relay panicked")
    for name in ("java", "gnutls-cli"):
        if not shutil.which(name):
            print(f"{name} is not installed: skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
