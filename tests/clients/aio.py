"""Sends messages with aiosmtplib, as told on standard input; a result for each on standard output.

{"port", "ca", "user", "password", "messages": [{"to", "raw" in base64}]}: half of them one after another on one connection,
the others each on a connection of its own, all at once.
"""

import asyncio
import base64
import json
import ssl
import sys

import aiosmtplib


async def one(client, message):
    try:
        _, said = await client.sendmail("news@brand.example", [message["to"]], base64.b64decode(message["raw"]))
        return {"to": message["to"], "accepted": True, "response": said}
    except aiosmtplib.SMTPRecipientsRefused as refused:
        first = refused.recipients[0]
        return {"to": message["to"], "error": type(first).__name__, "responseCode": first.code, "response": first.message}
    except aiosmtplib.SMTPResponseException as refused:
        return {"to": message["to"], "error": type(refused).__name__, "responseCode": refused.code, "response": refused.message}


def connection(told):
    context = ssl.create_default_context(cafile=told["ca"])
    return aiosmtplib.SMTP(hostname="127.0.0.1", port=told["port"], start_tls=True, tls_context=context,
                           username=told["user"], password=told["password"])


async def alone(told, message):
    async with connection(told) as client:
        return await one(client, message)


async def main():
    told = json.load(sys.stdin)
    half = len(told["messages"]) // 2
    async with connection(told) as client:
        results = [await one(client, message) for message in told["messages"][:half]]
    results += await asyncio.gather(*(alone(told, message) for message in told["messages"][half:]))
    json.dump(results, sys.stdout)


asyncio.run(main())
