#!/usr/bin/env python3
"""Measures how many logs and spans together a release build of Daymark takes at most, then sends a part of that for minutes.
Prints minute by minute whether memory, files and acknowledgements stay flat, and the latency of acknowledgements beside that
of a raw fdatasync on the same disk in the same minutes.

Payloads are those of tests/load/otlpload.rs, a new seed each round, because a repeated request is recognised as such. They are
made beside the server, niced, while the maximum is measured as well as afterwards.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

from bench import Daymark
from watch import Watch, explained, quantile, work_folder

BATCH = 1000
CONNECTIONS = 4
WRITE_BYTES = 256 << 10
SIGNALS = ["logs", "traces"]
# What merging leaves is kept a tenth as long as by default, so that its number is flat within the run, too.
CLEAN_UP = ["--keep-removed-s", "60", "--keep-commits-s", "360", "--retention-check-s", "30"]
# As the fastest rate is not known before, its files have a size of their own.
FULL_RATE_ITEMS = 400_000


class Syncs(threading.Thread):
    """Writes and syncs a file of its own twenty times a second."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.stopped, self.times_ms = path, threading.Event(), []

    def run(self):
        block, file, tick = os.urandom(WRITE_BYTES), os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600), 0
        while not self.stopped.wait(0.05):
            started = time.perf_counter()
            os.pwrite(file, block, (tick % 64) * WRITE_BYTES)
            os.fdatasync(file)
            self.times_ms.append((time.perf_counter() - started) * 1000)
            tick += 1
        os.close(file)
        self.path.unlink()

    def finish(self):
        self.stopped.set()
        self.join()


class Feed(threading.Thread):
    """Sends payloads of `signal` at `rate` requests a second (0: as fast as it goes), a file at a time, the next two made
    while one is sent."""

    def __init__(self, args, daymark, signal, rate, until):
        super().__init__()
        self.args, self.daymark, self.signal, self.rate, self.until = args, daymark, signal, rate, until
        self.items = rate * 10 * BATCH or FULL_RATE_ITEMS
        self.parts, self.seed = [], 0

    def generate(self):
        self.seed += 1
        path = self.args.work / f"{self.signal}-{self.seed}.otlp"
        command = [self.args.load, "gen", self.signal, path, self.items, f"batch={BATCH}", f"seed={self.seed}"]
        return path, subprocess.Popen(["nice", *map(str, command)], stdout=subprocess.DEVNULL)

    def run(self):
        ahead = [self.generate(), self.generate()]
        while time.monotonic() < self.until:
            path, making = ahead.pop(0)
            assert making.wait() == 0
            ahead.append(self.generate())
            self.send(path)
            remove(path)
        for path, making in ahead:
            making.wait()
            remove(path)

    def send(self, path):
        url = f"http://{self.daymark.otlp}/v1/{self.signal}"
        sent = subprocess.run(
            [self.args.load, "send", path, url, f"conns={CONNECTIONS}", f"rate={self.rate}"],
            check=True, capture_output=True, text=True,
        )
        part = json.loads(sent.stdout)
        assert part["records"] == self.items, (part, sent.stderr)
        self.parts.append((time.monotonic(), part))

    def sent(self):
        return sum(part["records"] for _, part in self.parts)

    def latency(self, q, first, last):
        return [part["lat_ms"][q] for at, part in self.parts if first <= at < last]


def remove(path):
    path.unlink()
    pathlib.Path(f"{path}.truth.json").unlink()


def feed(args, daymark, rates, seconds):
    """Sends both signals for `seconds`; each sends the file to its end that it has begun."""
    until = time.monotonic() + seconds
    feeds = {signal: Feed(args, daymark, signal, rate, until) for signal, rate in rates.items() if rate is not None}
    for one in feeds.values():
        one.start()
    for one in feeds.values():
        one.join()
    return feeds


def maximum(args):
    """Items a second of each signal when both come as fast as they are acknowledged."""
    daymark = Daymark(args.daymark, str(args.data / "maximum"))
    started, cpu = time.monotonic(), daymark.cpu_s()
    feeds = feed(args, daymark, dict.fromkeys(SIGNALS, 0), args.maximum_seconds)
    rates = {signal: one.sent() / (one.parts[-1][0] - started) for signal, one in feeds.items()}
    cpu = daymark.cpu_s() - cpu
    daymark.stop()
    shutil.rmtree(args.data / "maximum")
    both = " and ".join(f"{rate:,.0f} {signal}" for signal, rate in rates.items())
    print(f"at most {both} a second, {CONNECTIONS} connections each, in {time.monotonic() - started:.0f} s; cpu {cpu:.0f} s")
    return rates


def rates_of(args):
    """Requests a second."""
    if args.logs or args.spans:
        return {"logs": args.logs // BATCH or None, "traces": args.spans // BATCH or None}
    return {signal: max(1, round(rate * args.percent / 100 / BATCH)) for signal, rate in maximum(args).items()}


def soak(args, rates):
    daymark = Daymark(args.daymark, str(args.data / "data"), CLEAN_UP)
    watch, syncs = Watch(daymark), Syncs(daymark.data / "raw-fdatasync")
    watch.start()
    syncs.start()
    started, cpu = time.monotonic(), daymark.cpu_s()
    feeds = feed(args, daymark, rates, args.seconds)
    ended, cpu = time.monotonic(), daymark.cpu_s() - cpu
    syncs.finish()
    watch.finish()
    report(watch, syncs, feeds, started, ended, cpu)
    explained(daymark)
    print("every item received is explained by the ledger")
    daymark.stop()


def report(watch, syncs, feeds, started, ended, cpu):
    sent = " and ".join(f"{one.sent():,} {signal} ({one.rate * BATCH:,} a second)" for signal, one in feeds.items())
    items = sum(one.sent() for one in feeds.values())
    print(f"{ended - started:.0f} s: {sent}, cpu {cpu:.0f} s = {items / cpu:,.0f} items per CPU-second")

    def latencies(first, last):
        return [f"{quantile(one.latency('p50', first, last), 0.5):.1f}, {max(one.latency('p99', first, last), default=0):.1f}"
                for one in feeds.values()]

    watch.minutes(started, ended, [f"{signal} p50, worst p99, ms" for signal in feeds], latencies)
    for signal, one in feeds.items():
        p50, p99 = (one.latency(q, started, ended) for q in ("p50", "p99"))
        print(f"ack {signal}: p50 {quantile(p50, 0.5):.1f} ms, p99 {quantile(p99, 0.5):.1f} ms (worst file {max(p99):.1f} ms)")
    print(f"raw write and fdatasync of {WRITE_BYTES >> 10} KiB: p50 {quantile(syncs.times_ms, 0.5):.2f} ms, "
          f"p99 {quantile(syncs.times_ms, 0.99):.2f} ms ({len(syncs.times_ms)} of them)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="target/release", help="folder of the release programs")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--maximum-seconds", type=int, default=45, help="how long the maximum is measured")
    parser.add_argument("--percent", type=int, default=80, help="of the maximum")
    parser.add_argument("--logs", type=int, default=0, help="records a second, instead of a percentage")
    parser.add_argument("--spans", type=int, default=0, help="spans a second, instead of a percentage")
    args = parser.parse_args()
    args.daymark, args.load = os.path.join(args.bin, "daymark"), os.path.join(args.bin, "otlpload")
    args.work = pathlib.Path(tempfile.mkdtemp(prefix="daymark-soak-", dir=work_folder()))
    args.data = pathlib.Path(tempfile.mkdtemp(prefix="daymark-soak-"))
    try:
        soak(args, rates_of(args))
    finally:
        for folder in (args.work, args.data):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
