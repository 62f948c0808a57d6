#!/usr/bin/env python3
"""Runs a release build of Daymark for minutes at a steady rate of logs and spans together, and prints whether memory stays
flat, and the latency of acknowledgements beside that of a raw fdatasync on the same disk in the same minutes.

Payloads are those of tests/load/otlpload.rs, a new seed each round, because a repeated request is recognised as such.
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

BATCH = 1000
WRITE_BYTES = 256 << 10


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))] if values else float("nan")


class Watch(threading.Thread):
    """Samples memory once a second and syncs a file of its own twenty times a second."""

    def __init__(self, daymark):
        super().__init__(daemon=True)
        self.daymark, self.stopped = daymark, threading.Event()
        self.memory, self.syncs = [], []

    def run(self):
        path = self.daymark.data / "raw-fdatasync"
        block, file, tick = os.urandom(WRITE_BYTES), os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), 0
        while not self.stopped.wait(0.05):
            started = time.perf_counter()
            os.pwrite(file, block, (tick % 64) * WRITE_BYTES)
            os.fdatasync(file)
            self.syncs.append((time.perf_counter() - started) * 1000)
            if tick % 20 == 0:
                self.memory.append((time.monotonic(), self.daymark.rss_mb()))
            tick += 1
        os.close(file)
        path.unlink()


def feed(args, daymark, signal, rate, until, results):
    """Sends payloads of `signal` at `rate` items a second, a file at a time, the next one made while one is sent."""
    items, seed = max(BATCH, rate * 20 // BATCH * BATCH), 1

    def generate(seed):
        path = args.work / f"{signal}-{seed}.otlp"
        command = [args.load, "gen", signal, path, str(items), f"batch={BATCH}", f"seed={seed}"]
        return path, subprocess.Popen(["nice", *map(str, command)], stdout=subprocess.DEVNULL)

    path, making = generate(seed)
    while time.monotonic() < until:
        assert making.wait() == 0
        sending, seed = path, seed + 1
        path, making = generate(seed)
        sent = subprocess.run(
            [args.load, "send", sending, f"http://{daymark.otlp}/v1/{signal}", "conns=4", f"rate={rate // BATCH}"],
            check=True, capture_output=True, text=True,
        )
        results.append(json.loads(sent.stdout))
        assert results[-1]["records"] == items, results[-1]
        sending.unlink()
        pathlib.Path(f"{sending}.truth.json").unlink()
    making.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="target/release", help="folder of the release programs")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--logs", type=int, default=50_000, help="records a second")
    parser.add_argument("--spans", type=int, default=25_000, help="spans a second")
    args = parser.parse_args()
    args.load = os.path.join(args.bin, "otlpload")
    args.work = pathlib.Path(tempfile.mkdtemp(prefix="daymark-soak-"))
    try:
        daymark = Daymark(os.path.join(args.bin, "daymark"), str(args.work / "data"))
        watch, results = Watch(daymark), {"logs": [], "traces": []}
        watch.start()
        started, cpu = time.monotonic(), daymark.cpu_s()
        until = started + args.seconds
        feeders = [
            threading.Thread(target=feed, args=(args, daymark, signal, rate, until, results[signal]))
            for signal, rate in [("logs", args.logs), ("traces", args.spans)] if rate
        ]
        for feeder in feeders:
            feeder.start()
        for feeder in feeders:
            feeder.join()
        watch.stopped.set()
        watch.join()
        report(args, daymark, watch, results, started, daymark.cpu_s() - cpu)
        daymark.stop()
    finally:
        shutil.rmtree(args.work, ignore_errors=True)


def report(args, daymark, watch, results, started, cpu):
    ended = time.monotonic()
    sent = {signal: sum(part["records"] for part in parts) for signal, parts in results.items()}
    print(f"{ended - started:.0f} s: {sent['logs']:,} logs and {sent['traces']:,} spans, cpu {cpu:.0f} s")
    print("  minute   memory, p50 and max, MB")
    minute = 0
    while started + minute * 60 < ended:
        of = [mb for at, mb in watch.memory if minute <= (at - started) / 60 < minute + 1]
        if of:
            print(f"  {minute + 1:6}   {quantile(of, 0.5):6.0f} {max(of):6.0f}")
        minute += 1
    for signal, parts in results.items():
        if parts:
            p50, p99 = ([part["lat_ms"][q] for part in parts] for q in ("p50", "p99"))
            print(f"  ack {signal}: p50 {quantile(p50, 0.5):.1f} ms, p99 {quantile(p99, 0.5):.1f} ms "
                  f"(worst file {max(p99):.1f} ms)")
    print(f"  raw write and fdatasync of {WRITE_BYTES >> 10} KiB: p50 {quantile(watch.syncs, 0.5):.2f} ms, "
          f"p99 {quantile(watch.syncs, 0.99):.2f} ms ({len(watch.syncs)} of them)")
    ledger = daymark.get("/api/v1/ledger")["components"]
    unexplained = [row for component in ledger for row in component["rows"] if row["unexplained"]]
    assert not unexplained, unexplained
    print("  every item received is explained by the ledger")


if __name__ == "__main__":
    main()
