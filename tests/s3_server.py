"""A real S3 server on this machine (moto's), and a proxy before it that fails as stores do."""

import http.client
import logging
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import urlopen

import fsspec
import pytest

from trace_mm.files import retries

# Seen in an answer's status line, or in what happens to its body.
Fault = int | str
Header = tuple[str, str]
_SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
HANGS = 4.0  # seconds


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on, but for those with a fault.

    Attributes:
        faults: (method, fault), each applied once, in order, to the next request of that method:
            a status such as 503; "reset", the connection is; "hang", for ``HANGS`` seconds before
            it is; "cut", the connection ends in the middle of the body; "short", half of the body
            comes as if it were all.
        requests: (method, path) of all requests.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = (host, port)
        self.faults: list[tuple[str, Fault]] = []
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has had enough of a fault goes away; that is no error of ours."""

    def take_fault(self, method: str) -> Fault | None:
        for number, (name, fault) in enumerate(self.faults):
            if name == method:
                del self.faults[number]
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _pass_on(self) -> None:
        self.server.requests.append((self.command, self.path))
        body = self._body()
        fault = self.server.take_fault(self.command)
        if fault in ("reset", "hang"):
            time.sleep(HANGS if fault == "hang" else 0)
            # With a reset instead of the polite end.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        if isinstance(fault, int):
            data = b"" if self.command == "HEAD" else _SLOW_DOWN
            self._answer(fault, [("Content-Type", "application/xml")], data, len(data))
            return
        status, headers, data, length = self._ask(body)
        if fault == "short":
            length = len(data) // 2
        if fault in ("short", "cut"):
            data = data[: len(data) // 2]
            headers = [pair for pair in headers if "checksum" not in pair[0].lower()]
            self.close_connection = True
        self._answer(status, headers, data, length)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _body(self) -> bytes:
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(chunks)

    def _ask(self, body: bytes) -> tuple[int, list[Header], bytes, int]:
        connection = http.client.HTTPConnection(*self.server.upstream)
        headers = {key: self.headers[key] for key in self.headers if key != "Transfer-Encoding"}
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        length = int(answer.headers.get("Content-Length", len(data)))  # of HEAD, without a body
        dropped = ("content-length", "transfer-encoding", "connection")
        kept = [(key, value) for key, value in answer.getheaders() if key.lower() not in dropped]
        connection.close()
        return answer.status, kept, data, length

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, length: int
    ) -> None:
        self.send_response_only(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[None]:
    """Within this context, the server answers."""
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fail_fast(patch: pytest.MonkeyPatch, tries: int, timeout: float = 3) -> None:
    """What fails is tried again at once, by us and not by botocore; no answer is a failure, too.

    Args:
        patch: of the test.
        tries: in all.
        timeout: seconds to wait for an answer.
    """
    patch.setattr(retries, "WAITS", (0.0,) * (tries - 1))
    config = {"config_kwargs": {"retries": {"total_max_attempts": 1}, "read_timeout": timeout}}
    patch.setitem(fsspec.config.conf, "s3", config)


@contextmanager
def s3_proxy(patch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """An S3 server with the empty bucket ``bucket``, which this process and its children find.

    Skips the test where s3fs or moto are missing.
    """
    reason = "needs the extra test: an S3 server and a client"
    s3fs = pytest.importorskip("s3fs", reason=reason)
    moto = pytest.importorskip("moto.server", reason=reason)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # All servers of a process share their buckets, so those of earlier tests are there.
    urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()
    proxy = FaultyProxy(host, port)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ENDPOINT_URL", proxy.url)
    patch.setenv("AWS_ACCESS_KEY_ID", "tests")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        with served(proxy):
            s3fs.S3FileSystem.clear_instance_cache()  # of an earlier server
            system = s3fs.S3FileSystem()
            system.mkdir("bucket")
            proxy.requests.clear()
            yield proxy
            s3fs.S3FileSystem.clear_instance_cache()
    finally:
        server.stop()
