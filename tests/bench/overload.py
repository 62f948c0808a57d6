#!/usr/bin/env python3
"""Sends a release build of Daymark three times as many spans as it takes at most, for minutes, and prints whether it goes on
taking as many, how it refuses the others, what memory that costs, and how soon it is itself again afterwards.

The server runs on core 0 and all else on core 1: otherwise its client would have too little CPU to overload it, and the
server less than it had while the maximum was measured. All figures are therefore those of one core.

Payloads are those of tests/load/otlpload.rs, a new seed each round, because a repeated request is recognised as such.
"""

import argparse
import asyncio
import collections
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import urllib.error

from bench import Daymark
from http_load import Load
from watch import Watch, explained, quantile, work_folder

BATCH = 1000
SERVER_CORE, CLIENT_CORE = {0}, {1}
# More than the server works on and lets wait, so that there is always one to send; 400 MB.
QUEUE_REQUESTS = 1200
FILE_REQUESTS = 50
CLOSED_CONNECTIONS = 4
PROBE_SECONDS = 30
SETTLE_SECONDS = 120
RECOVERED_PROBES = 5
# A span begins with its trace id and span id.
SPAN_IDS = re.compile(rb"\x0a\x10(.{16})\x12\x08", re.DOTALL)


class Payloads(threading.Thread):
    """Keeps `queue` filled with requests that were never sent."""

    def __init__(self, args, daymark):
        super().__init__(daemon=True)
        self.args, self.queue, self.stopped = args, collections.deque(), threading.Event()
        self.head = f"POST /v1/traces HTTP/1.1\r\nhost: {daymark.otlp}\r\ncontent-type: application/x-protobuf\r\n"

    def run(self):
        seed = 1
        while not self.stopped.is_set():
            if len(self.queue) < QUEUE_REQUESTS:
                self.generate(seed)
                seed += 1
            else:
                self.stopped.wait(0.05)

    def generate(self, seed):
        path = self.args.work / f"{seed}.otlp"
        command = [self.args.load, "gen", "traces", path, FILE_REQUESTS * BATCH, f"batch={BATCH}", f"seed={seed}"]
        # Not niced: it has the client's core, and the client waits for it when others are busy there.
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        with path.open("rb") as file:
            while prefix := file.read(8):
                length, _items = struct.unpack("<II", prefix)
                head = f"{self.head}content-length: {length}\r\n\r\n"
                self.queue.append(head.encode() + file.read(length))
        path.unlink()
        pathlib.Path(f"{path}.truth.json").unlink()

    def fill(self):
        self.start()
        while len(self.queue) < QUEUE_REQUESTS:
            time.sleep(0.1)

    def finish(self):
        self.stopped.set()
        self.join()


def accepted(answers):
    return [answer for answer in answers if answer.status == 200]


def milliseconds(answers):
    seconds = [answer.seconds * 1000 for answer in answers]
    return f"p50 {quantile(seconds, 0.5):,.1f} ms, p99 {quantile(seconds, 0.99):,.1f} ms, max {max(seconds, default=0):,.1f} ms"


async def maximum(args, daymark, load):
    """Requests a second in a closed loop, and the p99 of their answers in seconds."""
    cpu = daymark.cpu_s()
    await load.closed(args.maximum_seconds, CLOSED_CONNECTIONS)
    rate, cpu = len(accepted(load.answers)) / args.maximum_seconds, daymark.cpu_s() - cpu
    assert await load.settle(SETTLE_SECONDS)
    print(f"maximum: {rate * BATCH:,.0f} spans a second on {CLOSED_CONNECTIONS} connections; {milliseconds(load.answers)}; "
          f"other answers: {statuses(load.answers)}; cpu of the server {cpu:.0f} s in {args.maximum_seconds} s", flush=True)
    return rate, quantile([answer.seconds for answer in load.answers], 0.99)


def statuses(answers):
    counts = collections.Counter(
        (answer.status, "retry-after" if answer.retry_after else "no retry-after")
        for answer in answers if answer.status != 200
    )
    return ", ".join(f"{count:,} x {status} {retry}" for (status, retry), count in counts.items()) or "none"


def seconds_until_read(daymark, request):
    """Until the trace with the first span of `request` is found."""
    trace_id, started = SPAN_IDS.search(request).group(1).hex(), time.monotonic()
    while time.monotonic() < started + SETTLE_SECONDS:
        try:
            if daymark.get(f"/api/v1/traces/{trace_id}")["spans"]:
                return time.monotonic() - started
        except urllib.error.HTTPError:
            pass
        time.sleep(0.05)
    return float("inf")


async def recovery(daymark, load, usual_s):
    """One request a second from the end of the overload on, while the requests under way are still answered."""
    stopped, left = time.monotonic(), load.busy
    reading = load.loop.run_in_executor(None, seconds_until_read, daymark, load.newest)
    await load.open(PROBE_SECONDS, 1)
    settled = await load.settle(SETTLE_SECONDS)
    late = [answer for answer in load.answers if answer.started < stopped < answer.started + answer.seconds]
    probes = sorted(answer for answer in load.answers if answer.started >= stopped)
    good = [probe.status == 200 and probe.seconds <= max(usual_s, 0.05) for probe in probes]
    runs = [at for at in range(len(good) - RECOVERED_PROBES + 1) if all(good[at:at + RECOVERED_PROBES])]
    recovered = probes[runs[0]].started + probes[runs[0]].seconds - stopped if runs else float("inf")
    return (f"recovery: {left} requests were under way; the last of them was answered after "
            f"{max((answer.started + answer.seconds - stopped for answer in late), default=0):.1f} s (all: {settled}); "
            f"200 within the p99 of before ({usual_s * 1000:.0f} ms, at least 50 ms) {RECOVERED_PROBES} times in a row from "
            f"{recovered:.1f} s on; newest accepted trace found after {await reading:.1f} s\nprobes, one a second: "
            + ", ".join(f"{probe.status} {probe.seconds * 1000:.0f} ms" for probe in probes))


def overload_report(args, load, watch, rate, started, ended):
    answers = [answer for answer in load.answers if answer.started + answer.seconds < ended]
    refused = [answer for answer in answers if answer.status != 200]
    ok, seconds = accepted(answers), ended - started
    print(f"accepted: {len(ok) * BATCH / seconds:,.0f} spans a second ({len(ok) / seconds / rate:.0%} of the maximum); "
          f"{milliseconds(ok)}")
    print(f"refused: {statuses(refused)}; {milliseconds(refused)}; {sum(not answer.whole for answer in refused)} before "
          f"the request was sent; connections that ended without an answer: {dict(load.errors) or 'none'}")

    def outcomes(first, last):
        within = [answer for answer in answers if first <= answer.started + answer.seconds < last]
        good, lengths = accepted(within), last - first
        times = [answer.seconds * 1000 for answer in good]
        refusals = [answer.seconds * 1000 for answer in within if answer.status != 200]
        return [f"{len(good) * BATCH / lengths:,.0f}", f"{len(good) / lengths / rate:.0%}",
                f"{len(refusals) / lengths:.0f}", f"{quantile(times, 0.5):,.0f}, {quantile(times, 0.99):,.0f}",
                f"{quantile(refusals, 0.99):,.0f}"]

    names = ["accepted/s", "of maximum", "refused/s", "ack p50, p99, ms", "refusal p99, ms"]
    watch.minutes(started, ended, names, outcomes)


def ledger_report(daymark, load, client_accepted):
    row = explained(daymark)["agent", "traces"]
    print(f"ledger: {json.dumps({key: row[key] for key in ('received', 'stored', 'in_flight', 'shed', 'rejected')})}; "
          f"acknowledged to the client: {client_accepted * BATCH:,}; nothing unexplained")
    memory = daymark.get("/api/v1/ledger")["memory"]
    print(f"memory: budget {json.dumps(memory)}; peak of the process {daymark.peak_mb():,.0f} MB")


async def run(args, daymark, payloads):
    first = Load(daymark.otlp, payloads.queue, CLOSED_CONNECTIONS)
    rate, usual_s = await maximum(args, daymark, first)
    first.close()
    load, watch = Load(daymark.otlp, payloads.queue, args.connections), Watch(daymark)
    watch.start()
    started, cpu = time.monotonic(), daymark.cpu_s()
    await load.open(args.seconds, rate * args.factor)
    ended, offered = time.monotonic(), load.started / args.seconds
    print(f"overload: {offered * BATCH:,.0f} spans/s started ({offered / rate:.2f} x maximum) in {args.seconds} s; "
          f"{load.no_connection:,} requests not started as all {args.connections} connections busy, {load.no_request:,} as "
          f"no payload was ready; cpu of the server {daymark.cpu_s() - cpu:.0f} s", flush=True)
    # The event loop is needed: reports wait until all is answered.
    recovered = await recovery(daymark, load, usual_s)
    watch.finish()
    load.close()
    overload_report(args, load, watch, rate, started, ended)
    print(recovered)
    ledger_report(daymark, load, len(accepted(first.answers)) + len(accepted(load.answers)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="target/release", help="folder of the release programs")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--maximum-seconds", type=int, default=45, help="how long the maximum is measured")
    parser.add_argument("--factor", type=float, default=3, help="how much of the maximum is sent")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--memory-limit", help="of the server; its own default otherwise")
    parser.add_argument("--log", type=argparse.FileType("w"), default=os.devnull, help="where the server's log goes")
    args = parser.parse_args()
    args.load = os.path.join(args.bin, "otlpload")
    args.work = pathlib.Path(tempfile.mkdtemp(prefix="daymark-overload-", dir=work_folder()))
    data = tempfile.mkdtemp(prefix="daymark-overload-")
    try:
        os.sched_setaffinity(0, SERVER_CORE)
        options = ["--memory-limit", args.memory_limit] if args.memory_limit else []
        daymark = Daymark(os.path.join(args.bin, "daymark"), f"{data}/data", options, args.log)
        os.sched_setaffinity(0, CLIENT_CORE)
        payloads = Payloads(args, daymark)
        payloads.fill()
        asyncio.run(run(args, daymark, payloads))
        payloads.finish()
        daymark.stop()
    finally:
        for folder in (args.work, data):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
