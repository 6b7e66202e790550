"""A model hub on this machine, as far as downloads need one."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REFUSALS = {
    "owner/gated": (403, "GatedRepo"),
    "owner/unknown": (401, "RepoNotFound"),
    "owner/other-kind": (404, "EntryNotFound"),
}
"""What is answered for models that cannot be had: status, and the hub's own error code."""


@contextmanager
def fake_hub(models: dict[str, Path]) -> Iterator[str]:
    """Serve folders as models.

    Args:
        models: folders by hub id; any revision but ``gone`` is their content.

    Yields:
        The hub's address.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, *args: object) -> None:
            pass

        def _answer(self, with_body: bool) -> None:
            owner, name, what, revision, *inside = [*self.path.strip("/").split("/"), "", "", ""]
            model = f"{owner}/{name}"
            if model in REFUSALS:
                return self._refuse(*REFUSALS[model])
            if self.path.startswith("/api/"):  # lists of files, of which there are none here
                return self._refuse(404, "EntryNotFound")
            if model not in models or what != "resolve":
                return self._refuse(404, "RepoNotFound")
            if revision == "gone":
                return self._refuse(404, "RevisionNotFound")
            path = models[model] / "/".join(part for part in inside if part)
            if not path.is_file():
                return self._refuse(404, "EntryNotFound")
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                self.wfile.write(content)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
