"""Sends prepared HTTP/1.1 requests over many connections on one event loop: as fast as they are answered, or on a schedule that
waits for no answer. What is refused goes back to the end of the queue, as an exporter's retry would.

It reads while it writes, so that an answer is seen that comes before the request was sent to its end.
"""

import asyncio
import collections
import socket
import time

TICK_S = 0.002
READ_BYTES = 64 << 10

Answer = collections.namedtuple("Answer", "started seconds status retry_after whole")


class Connection:
    """One connection with at most one request under way; opened, and opened again, when it is needed."""

    def __init__(self, load):
        self.load, self.socket, self.request = load, None, None

    def open(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(self.load.address)
        self.load.loop.add_reader(self.socket, self.read)

    def close(self):
        if self.socket:
            self.load.loop.remove_reader(self.socket)
            self.load.loop.remove_writer(self.socket)
            self.socket.close()
            self.socket = None

    def send(self, request):
        if not self.socket:
            self.open()
        self.request, self.rest, self.received = request, memoryview(request), bytearray()
        self.started = time.monotonic()
        self.load.loop.add_writer(self.socket, self.write)
        self.write()

    def write(self):
        try:
            self.rest = self.rest[self.socket.send(self.rest):]
        except BlockingIOError:
            return
        except OSError as error:
            self.broken(error)
            return
        if not self.rest:
            self.load.loop.remove_writer(self.socket)

    def read(self):
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.broken(error)
            return
        if not data:
            self.broken(ConnectionError("closed by the server"))
            return
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        fields = head.lower()
        if found and len(body) >= content_length(fields):
            self.done(int(head[9:12]), fields)

    def done(self, status, fields):
        seconds, whole, request = time.monotonic() - self.started, not self.rest, self.request
        if not whole or b"connection: close" in fields:
            self.close()
        self.request = None
        answer = Answer(self.started, seconds, status, b"\r\nretry-after:" in fields, whole)
        self.load.answered(self, request, answer)

    def broken(self, error):
        self.close()
        # A connection that ends while nobody waits for it is opened again when it is needed.
        if self.request:
            request, self.request = self.request, None
            self.load.lost(self, request, error)


def content_length(fields):
    _, found, rest = fields.partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


class Load:
    """Requests from `queue` (a deque) to the server at `address`."""

    def __init__(self, address, queue, connections):
        host, port = address.split(":")
        self.loop = asyncio.get_running_loop()
        self.address, self.queue = (host, int(port)), queue
        self.idle = [Connection(self) for _ in range(connections)]
        self.all, self.busy = list(self.idle), 0
        self.answers, self.errors = [], collections.Counter()
        self.started = self.no_connection = self.no_request = 0
        self.newest, self.refill = None, False

    def start(self):
        if not self.idle:
            self.no_connection += 1
        elif not self.queue:
            self.no_request += 1
        else:
            self.started += 1
            self.busy += 1
            self.idle.pop().send(self.queue.popleft())

    def answered(self, connection, request, answer):
        self.answers.append(answer)
        if answer.status == 200:
            self.newest = request
        else:
            self.queue.append(request)
        self.free(connection)

    def lost(self, connection, request, error):
        self.errors[repr(error)] += 1
        self.queue.append(request)
        self.free(connection)

    def free(self, connection):
        self.busy -= 1
        self.idle.append(connection)
        if self.refill:
            # Not at once: sending may fail, and come back here.
            self.loop.call_soon(self.start)

    async def closed(self, seconds, connections):
        """Each of `connections` starts a request as soon as the one before is answered."""
        self.refill = True
        for _ in range(connections):
            self.start()
        await asyncio.sleep(seconds)
        self.refill = False

    async def open(self, seconds, per_second):
        """Starts `per_second` requests each second, whatever is answered."""
        began, due = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < seconds:
            while due <= elapsed * per_second:
                self.start()
                due += 1
            await asyncio.sleep(TICK_S)

    async def settle(self, seconds):
        """Waits until all is answered; false when it was not."""
        until = time.monotonic() + seconds
        while self.busy and time.monotonic() < until:
            await asyncio.sleep(0.05)
        return not self.busy

    def close(self):
        for connection in self.all:
            connection.close()
