"""Samples of a running Daymark minute by minute: CPU, memory, files, segments, and how busy the machine is."""

import os
import pathlib
import threading
import time
import urllib.request

FILES_EVERY_S = 10


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))] if values else float("nan")


def work_folder():
    """Payloads are kept in memory where that is possible: the disk is the server's."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def explained(daymark):
    """The rows of the ledger by component and signal, after a check that they explain every item."""
    rows = {
        (component["component"], row["signal"]): row
        for component in daymark.get("/api/v1/ledger")["components"]
        for row in component["rows"]
    }
    unexplained = {name: row for name, row in rows.items() if row["unexplained"]}
    assert not unexplained, unexplained
    return rows


def files_of(folder):
    """How many files there are, and the bytes that they take on the disk."""
    count = size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.stat(os.path.join(parent, name)).st_blocks * 512
                count += 1
            except FileNotFoundError:
                pass
    return count, size


class Watch(threading.Thread):
    """Samples CPU and memory once a second and all else every `FILES_EVERY_S`, each with its time."""

    def __init__(self, daymark):
        super().__init__(daemon=True)
        self.daymark, self.stopped = daymark, threading.Event()
        self.memory, self.disk, self.not_ready = [], [], []

    def run(self):
        tick = 0
        while not self.stopped.wait(1):
            self.memory.append((time.monotonic(), self.daymark.rss_mb(), self.daymark.cpu_s()))
            if tick % FILES_EVERY_S == 0:
                self.look()
            tick += 1

    def look(self):
        now = time.monotonic()
        files, size = files_of(self.daymark.data)
        try:
            urllib.request.urlopen(f"http://{self.daymark.http}/readyz", timeout=10).read()
            tables = self.daymark.get("/api/v1/storage")["tables"]
        except OSError as error:
            self.not_ready.append((now, repr(error)))
            return
        api_ms = (time.monotonic() - now) * 1000
        load = float(pathlib.Path("/proc/loadavg").read_text().split()[0])
        segments = sum(table["segments"] for table in tables)
        self.disk.append((now, files, size / 1e6, segments, api_ms, load))

    def finish(self):
        self.stopped.set()
        self.join()

    def minutes(self, started, ended, names, values):
        """Prints a table with a row a minute: the columns `names`, whose `values(first, last)` are text, and our own."""
        names = ["minute", *names, "CPU, s", "memory p50, MB", "max, MB", "files", "segments", "disk, MB", "API max, ms", "load"]
        print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
        first, minute = started, 1
        # A rest of some seconds would be a row without samples.
        while first == started or first + 30 < ended:
            last = min(first + 60, ended)
            print(f"| {' | '.join([str(minute), *values(first, last), *self.values(first, last)])} |", flush=True)
            first, minute = last, minute + 1
        for at, error in self.not_ready:
            print(f"{at - started:.0f} s: no answer from the API: {error}")

    def values(self, first, last):
        memory = [mb for at, mb, _ in self.memory if first <= at < last]
        cpu = [seconds for at, _, seconds in self.memory if first <= at < last] or [0]
        disk = [values for at, *values in self.disk if first <= at < last] or [[0] * 5]
        files, size, segments = disk[-1][:3]
        api, load = (max(column) for column in list(zip(*disk))[3:])
        return [f"{cpu[-1] - cpu[0]:.1f}", f"{quantile(memory, 0.5):,.0f}", f"{max(memory, default=0):,.0f}", f"{files:,}",
                f"{segments:,}", f"{size:,.0f}", f"{api:.0f}", f"{load:.1f}"]
