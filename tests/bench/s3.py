#!/usr/bin/env python3
"""Requests to the object store per sealed segment and per query, and what the cache holds.

usage: s3.py --bin DIR    (with the program daymark; the server is moto of tests/python/.venv, which tests/set-up.sh makes)
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

tests = pathlib.Path(__file__).resolve().parent.parent
arguments = argparse.ArgumentParser()
arguments.add_argument("--bin", required=True, type=pathlib.Path)
arguments.add_argument("--logs", type=int, default=300_000)
options = arguments.parse_args()


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(url, method="GET"):
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:
        return answer.read().decode()


def until(what, limit_s=60):
    ends = time.monotonic() + limit_s
    while True:
        try:
            found = what()
            if found:
                return found
        except OSError:
            pass
        if time.monotonic() > ends:
            raise SystemExit("nothing came in time")
        time.sleep(0.1)


python = tests / "python/.venv/bin/python"
bucket, http, grpc, otlp = port(), port(), port(), port()
work = pathlib.Path(tempfile.mkdtemp(prefix="daymark-s3-"))
moto = subprocess.Popen(
    [python, tests / "python/.venv/bin/moto_server", "-H", "127.0.0.1", "-p", str(bucket)],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
base = f"http://127.0.0.1:{http}"
environment = os.environ | {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}


def start():
    process = subprocess.Popen(
        [options.bin / "daymark", "up", "--data-dir", work / "data", "--store", "s3://telemetry/bench",
         "--s3-endpoint", f"http://127.0.0.1:{bucket}", "--http", f"127.0.0.1:{http}", "--otlp-grpc", f"127.0.0.1:{grpc}",
         "--otlp-http", f"127.0.0.1:{otlp}", "--self-telemetry", "false", "--seal-interval-ms", "2000",
         "--compact-interval-ms", "86400000"],
        env=environment, stderr=(work / "log").open("ab"),
    )
    until(lambda: "ready" in get(f"{base}/readyz"))
    return process


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, (work / "log").read_text()


def counted():
    numbers = {}
    for line in get(f"{base}/metrics").splitlines():
        found = re.fullmatch(r'daymark_(?:store|cache)_(\w+?)(?:\{call="(\w+)"\})? (\d+)', line)
        if found:
            numbers[found[2] or found[1]] = int(found[3])
    return numbers


def cost(what, name):
    before, started = counted(), time.monotonic()
    answer = what()
    took_ms = (time.monotonic() - started) * 1000
    after = counted()
    spent = {key: after[key] - before[key] for key in ("put", "get", "list", "hits_total", "misses_total", "fetches_total", "fetched_bytes_total")}
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in spent.items() if value) + f", {took_ms:.0f} ms")
    return answer


def send(batches, size):
    for batch in range(batches):
        events = [
            {"name": f"order {batch * size + number} placed", "service": "shop", "duration_ms": number % 900,
             "correlation_id": f"r-{batch * size + number}", "customer": f"customer-{number % 1000}"}
            for number in range(size)
        ]
        data = json.dumps(events).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{otlp}/v1/events", data, {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=60).read()


def sealed(rows):
    answer = json.loads(get(f"{base}/api/v1/logs?limit=0"))
    return answer["matched"] == rows and answer["receipt"]["hot_rows"] == 0


try:
    until(lambda: get(f"http://127.0.0.1:{bucket}/telemetry", "PUT") is not None)
    daymark = start()
    print("start, an empty bucket:", {key: value for key, value in counted().items() if value and key in ("put", "get", "list", "delete")})
    before = counted()
    send(options.logs // 1000, 1000)
    # No question is asked meanwhile: only what publishing costs is counted.
    time.sleep(8)
    after = counted()
    assert sealed(options.logs), "not everything is published"
    listed = get(f"http://127.0.0.1:{bucket}/telemetry?list-type=2")
    names = re.findall(r"<Key>([^<]+)</Key><LastModified>[^<]*</LastModified><ETag>[^<]*</ETag><Size>(\d+)", listed)
    segments = [int(size) for name, size in names if name.endswith(".parquet")]
    indexes = [int(size) for name, size in names if name.endswith(".idx")]
    print(f"published: {len(segments)} segments of {sum(segments)} bytes, {len(indexes)} indexes of {sum(indexes)} bytes")
    for call in ("put", "get"):
        print(f"  {call} per segment: {(after[call] - before[call]) / len(segments):.2f}")
    print(f"  kept locally: {after['bytes']} bytes")
    word = f"{base}/api/v1/logs?limit=20&query=order"
    cost(lambda: get(word), "newest 20 with a word, just published")
    stop(daymark)
    shutil.rmtree(work / "data/cache")
    daymark = start()
    cost(lambda: get(word), "newest 20 with a word, nothing kept")
    cost(lambda: get(word), "newest 20 with a word, again")
    cost(lambda: get(f"{base}/api/v1/logs?limit=20&correlation_id=r-{options.logs // 2}"), "one correlation id")
    cost(lambda: get(f"{base}/api/v1/logs?limit=20&correlation_id=r-{options.logs // 2}"), "one correlation id, again")
    stop(daymark)
    daymark = start()
    cost(lambda: get(word), "newest 20 with a word, after a restart")
    print("cache:", {key: value for key, value in counted().items() if "total" in key or "bytes" in key})
    stop(daymark)
finally:
    moto.kill()
    shutil.rmtree(work, ignore_errors=True)
