"""Submits jobs over HTTP, one after the other and as a stream, with requests, httpx and aiohttp.

{"client", "url", "ca", "password", "jobs": [...]} on standard input; a result of each job on standard output. A stream that
reads its results while it writes is what httpx and aiohttp can do; requests writes first, so it gets a few jobs only.
"""

import asyncio
import json
import ssl
import sys

told = json.load(sys.stdin)
HEADERS = {"Authorization": f"Bearer {told['password']}"}
NDJSON = {**HEADERS, "Content-Type": "application/x-ndjson"}
URL = told["url"] + "/v1/jobs"
single, stream = told["jobs"][::2], told["jobs"][1::2]
lines = [json.dumps(job).encode() + b"\n" for job in stream]


def with_requests():
    import requests

    with requests.Session() as session:
        # What the environment says of CAs would count for more.
        session.trust_env, session.verify = False, told["ca"]
        for job in single:
            yield session.post(URL, json=job, headers=HEADERS, timeout=60).json()
        answer = session.post(URL, data=iter(lines), headers=NDJSON, timeout=60, stream=True)
        yield from map(json.loads, answer.iter_lines())


def with_httpx():
    import httpx

    with httpx.Client(verify=ssl.create_default_context(cafile=told["ca"]), timeout=60) as client:
        for job in single:
            yield client.post(URL, json=job, headers=HEADERS).json()
        with client.stream("POST", URL, content=iter(lines), headers=NDJSON) as answer:
            yield from map(json.loads, answer.iter_lines())


async def with_aiohttp():
    import aiohttp

    async def body():
        for line in lines:
            yield line

    results, context = [], ssl.create_default_context(cafile=told["ca"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        for job in single:
            async with session.post(URL, json=job, headers=HEADERS) as answer:
                results.append(await answer.json(content_type=None))
        async with session.post(URL, data=body(), headers=NDJSON) as answer:
            async for line in answer.content:
                results.append(json.loads(line))
    return results


CLIENTS = {"requests": lambda: list(with_requests()), "httpx": lambda: list(with_httpx()), "aiohttp": lambda: asyncio.run(with_aiohttp())}
print(json.dumps(CLIENTS[told["client"]]()))
