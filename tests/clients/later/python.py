"""Submits a file of jobs in one request with requests, httpx or aiohttp, as told on standard input ({"url", "ca", "key", "file"});
status and body of the answer on standard output."""

import asyncio
import json
import ssl
import sys
from pathlib import Path

told = json.load(sys.stdin)
HEADERS = {"Authorization": f"Bearer {told['key']}", "Content-Type": "application/x-ndjson"}


def lines():
    with Path(told["file"]).open("rb") as opened:
        yield from opened


def with_requests():
    import requests

    with requests.Session() as session:
        session.trust_env, session.verify = False, told["ca"]
        answer = session.post(told["url"], data=lines(), headers=HEADERS)
        return answer.status_code, answer.json()


def with_httpx():
    import httpx

    with httpx.Client(verify=ssl.create_default_context(cafile=told["ca"]), timeout=None) as client:
        answer = client.post(told["url"], content=lines(), headers=HEADERS)
        return answer.status_code, answer.json()


async def with_aiohttp():
    import aiohttp

    context = ssl.create_default_context(cafile=told["ca"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        with Path(told["file"]).open("rb") as opened:
            async with session.post(told["url"], data=opened, headers=HEADERS) as answer:
                return answer.status, await answer.json()


CLIENTS = {"requests": with_requests, "httpx": with_httpx, "aiohttp": lambda: asyncio.run(with_aiohttp())}
status, body = CLIENTS[sys.argv[1]]()
json.dump({"status": status, "body": body}, sys.stdout)
