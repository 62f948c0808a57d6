#!/usr/bin/env python3
"""Measures a release build of Daymark with the deterministic payloads of tests/load/otlpload.rs.

Every answer is compared with the payload's truth file before its latency is printed. CPU-seconds are those of the
daymark process from before the first request until it is quiet: sealing and indexing included.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daymark:
    def __init__(self, binary, data, options=(), log=subprocess.DEVNULL):
        self.data = pathlib.Path(data)
        self.grpc, self.otlp, self.http = (f"127.0.0.1:{free_port()}" for _ in range(3))
        command = [binary, "up", "--data-dir", data, "--otlp-grpc", self.grpc, "--otlp-http", self.otlp]
        command += ["--http", self.http, "--self-telemetry", "false", *options]
        self.process = subprocess.Popen(command, stderr=log)
        self.pid = self.process.pid
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://{self.http}/readyz", timeout=2).read()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("daymark did not become ready")

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self, field):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        return 0

    def peak_mb(self):
        return self.memory_mb("VmHWM")

    def rss_mb(self):
        return self.memory_mb("VmRSS")

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=120) as answer:
            return json.load(answer)

    def sql(self, query):
        body = json.dumps({"query": query, "format": "json"}).encode()
        request = urllib.request.Request(f"http://{self.http}/api/v1/sql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)["rows"]

    def has_sql(self):
        try:
            self.sql("select 1")
            return True
        except urllib.error.HTTPError as error:
            assert error.code == 501, error
            print("  built without SQL: counts are compared through the API only", flush=True)
            return False

    def published(self, table):
        return sum(f.stat().st_size for f in (self.data / "tables/default" / table).rglob("*") if f.is_file())

    def wait_until_quiet(self):
        """All rows published and 5 s without work; the seal interval is 60 s."""
        quiet, last, started = 0, self.cpu_s(), time.time()
        while time.time() - started < 62 or quiet < 5:
            time.sleep(1)
            now = self.cpu_s()
            quiet = quiet + 1 if now - last < 0.1 else 0
            last = now

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def timed(daymark, name, path, runs, check):
    times, cpu = [], daymark.cpu_s()
    for _ in range(runs):
        started = time.perf_counter()
        answer = daymark.get(path)
        times.append((time.perf_counter() - started) * 1000)
        assert answer["receipt"]["complete"], answer["receipt"]
        check(answer)
    cpu = (daymark.cpu_s() - cpu) / runs * 1000
    times.sort()
    print(f"  {name:44} p50 {times[len(times) // 2]:8.1f} ms   max {times[-1]:8.1f} ms   cpu {cpu:7.1f} ms", flush=True)


def equal(got, expected, what):
    assert got == expected, f"{what}: got {got}, expected {expected}"


def ingest(args, signal, work):
    payload = work / f"{signal}.otlp"
    subprocess.run([args.load, "gen", signal, payload, str(args.items)], check=True, stdout=subprocess.DEVNULL)
    truth = json.loads(pathlib.Path(f"{payload}.truth.json").read_text())
    daymark = Daymark(args.daymark, str(work / f"{signal}-data"))
    before = daymark.cpu_s()
    url = f"http://{daymark.otlp}/v1/{signal}"
    sent = subprocess.run(
        [args.load, "send", payload, url, f"conns={args.conns}", f"rate={args.rate}", f"pid={daymark.pid}"],
        check=True, capture_output=True, text=True,
    )
    client = json.loads(sent.stdout)
    equal(client["records"], truth["n"], "acknowledged")
    daymark.wait_until_quiet()
    cpu = daymark.cpu_s() - before
    latency = client["lat_ms"]
    print(
        f"{signal}: {client['rec_per_s']:,} /s   cpu {cpu:.1f} s = {truth['n'] / cpu:,.0f} per CPU-second, all in "
        f"({client['rec_per_cpu_s']:,} until the last ack)   peak {daymark.peak_mb():.0f} MB   "
        f"ack p50 {latency['p50']} p99 {latency['p99']} ms", flush=True,
    )
    return daymark, truth


def logs(args, work):
    daymark, truth = ingest(args, "logs", work)
    n = truth["n"]
    print(f"  {daymark.published('logs') / n:.1f} bytes a record published, index included", flush=True)
    span = f"start={truth['end'] - 7200}&end={truth['end'] + 60}"
    equal(daymark.get(f"/api/v1/logs?limit=1&{span}")["matched"], n, "records")
    if daymark.has_sql():
        equal(daymark.sql("select count(*) from logs")[0][0], n, "count")
        equal(dict(map(tuple, daymark.sql("select service_name, count(*) from logs group by 1"))),
              {k[8:]: v for k, v in truth.items() if k.startswith("service_")}, "by service")
        timeouts = daymark.sql("select count(*) from logs where match(body, 'timeout')")[0][0]
        equal(timeouts, truth["word_timeout"], "timeout")
    for name, word, key in [("rare word", "needleword*", "needle"), ("word in 0.1 %", "timeout", "word_timeout"),
                            ("word in 0.1 %", "deadlock", "word_deadlock")]:
        timed(daymark, f"{name}: {word}", f"/api/v1/logs?query={word}&limit=100&{span}", args.runs,
              lambda a, key=key: equal(a["matched"], truth.get(key, 0), key))
    trace_id = truth["trace_ids"][0]
    timed(daymark, "logs of one trace", f"/api/v1/logs?trace_id={trace_id}&{span}", args.runs,
          lambda a: equal(len(a["logs"]), 1, "logs of a trace"))
    daymark.stop()


def traces(args, work):
    daymark, truth = ingest(args, "traces", work)
    n = truth["n"]
    tables = ["spans", "traces", "edges", "metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d", "series"]
    sizes = {table: daymark.published(table) / n for table in tables}
    print("  bytes a span published: " + ", ".join(f"{t} {b:.1f}" for t, b in sizes.items()), flush=True)
    span = f"start={truth['end'] - 7200}&end={truth['end'] + 600}"
    derived = daymark.get(f"/api/v1/metrics/range?metric=traces.span.metrics.duration&fn=count&step=600&{span}")
    equal(sum(point[1] or 0 for series in derived["series"] for point in series["points"]), n, "derived count")
    if daymark.has_sql():
        equal(daymark.sql("select count(*) from spans")[0][0], n, "count")
        equal(daymark.sql("select count(*) from traces")[0][0], truth["traces"], "traces")
        equal(daymark.sql("select sum(span_count) from traces")[0][0], n, "spans in traces")
    samples = [sample.split(":") for sample in truth["trace_ids"]]

    def by_id():
        for trace_id, spans in samples[: args.runs]:
            yield trace_id, int(spans)

    times = []
    for _ in range(2):
        times = []
        for trace_id, spans in by_id():
            started = time.perf_counter()
            answer = daymark.get(f"/api/v1/traces/{trace_id}")
            times.append((time.perf_counter() - started) * 1000)
            equal(len(answer["spans"]), spans, trace_id)
    times.sort()
    print(f"  {'trace by id, warm':44} p50 {times[len(times) // 2]:8.1f} ms   max {times[-1]:8.1f} ms", flush=True)
    found = lambda a: equal(len(a["traces"]), 20, "traces found")
    timed(daymark, "search: service, limit 20", f"/api/v1/traces?service=checkout&limit=20&{span}", args.runs, found)
    timed(daymark, "search: service, duration > 100 ms",
          f"/api/v1/traces?service=checkout&min_duration_ms=100&limit=20&{span}", args.runs, found)
    timed(daymark, "search: service, errors", f"/api/v1/traces?service=checkout&errors=true&limit=20&{span}", args.runs,
          found)
    timed(daymark, "p99 by service over an hour",
          f"/api/v1/metrics/range?metric=traces.span.metrics.duration&fn=p99&step=60&{span}", args.runs, lambda a: None)
    daymark.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="target/release", help="folder of the release programs")
    parser.add_argument("--items", type=int, default=1_500_000)
    parser.add_argument("--conns", type=int, default=2)
    parser.add_argument("--rate", type=int, default=0, help="requests a second; 0 is as fast as it goes")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", choices=["logs", "traces"])
    args = parser.parse_args()
    args.daymark, args.load = os.path.join(args.bin, "daymark"), os.path.join(args.bin, "otlpload")
    work = pathlib.Path(tempfile.mkdtemp(prefix="daymark-bench-"))
    try:
        for signal, run in [("logs", logs), ("traces", traces)]:
            if args.only in (None, signal):
                run(args, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
