"""Sends messages with Django, as told on standard input, and says what became of each on standard output.

{"port", "ca", "user", "password", "messages": [{"from", "to", "subject", "text", "html", "attachments"}]}
"""

import base64
import json
import os
import smtplib
import sys

told = json.load(sys.stdin)
os.environ["SSL_CERT_FILE"] = told["ca"]  # what Python's default context trusts, as Django uses it

import django  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.mail import EmailMultiAlternatives, get_connection  # noqa: E402

settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=told["port"], EMAIL_HOST_USER=told["user"],
                   EMAIL_HOST_PASSWORD=told["password"], EMAIL_USE_TLS=True, EMAIL_TIMEOUT=60)
django.setup()

results = []
with get_connection() as connection:
    for message in told["messages"]:
        mail = EmailMultiAlternatives(message["subject"], message["text"], message["from"], [message["to"]], connection=connection)
        if "html" in message:
            mail.attach_alternative(message["html"], "text/html")
        for file in message.get("attachments", []):
            mail.attach(file["filename"], base64.b64decode(file["content"]), "application/octet-stream")
        try:
            mail.send()
            results.append({"to": message["to"], "accepted": True})
        except smtplib.SMTPRecipientsRefused as refused:
            results.append({"to": message["to"], "accepted": False, "response": str(refused.recipients[message["to"]])})
print(json.dumps(results))
