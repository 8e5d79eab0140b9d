#!/usr/bin/env python3
"""Measures how long a change at one server takes to reach another server of the same database.

    python3 deploy/replicas/delay.py http://127.0.0.1:8081 http://127.0.0.1:8082

Stores 200 items at the first server, one after the other, and asks the second one for its newest
item until it has each. Deletes them at the end. The servers need --storage and no keys.
"""

import http.client
import json
import sys
import time
from urllib.parse import urlsplit

ITEMS = 200


def call(connection, method, path, body=None):
    connection.request(method, path, body, {"content-type": "application/x-ndjson"})
    response = connection.getresponse()
    text = response.read()
    if response.status not in (200, 204):
        sys.exit(f"{method} {path}: expected 200, found {response.status}: {text[:300]!r}")
    return json.loads(text) if text else None


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    first, second = (http.client.HTTPConnection(urlsplit(url).netloc) for url in sys.argv[1:])
    ids = [f"delay-{time.time_ns()}-{number}" for number in range(ITEMS)]
    delays = []
    for item in ids:
        call(first, "POST", "/v1/items", json.dumps({"id": item, "title": "An item"}) + "\n")
        stored = time.perf_counter()
        while call(second, "GET", "/v1/items/latest?limit=1")["items"][0]["id"] != item:
            time.sleep(0.0005)
        delays.append((time.perf_counter() - stored) * 1000)
        # Not in step with looks once a second.
        time.sleep(0.137)
    for item in ids:
        call(first, "DELETE", f"/v1/items/{item}")
    delays.sort()
    at = [delays[ITEMS // 2], delays[ITEMS * 95 // 100], delays[-1]]
    print("ms after the answer: median {:.1f}, 95 % {:.1f}, most {:.1f}".format(*at))


main()
