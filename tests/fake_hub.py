"""A model hub on this machine, as far as downloads and uploads of small files need one."""

import base64
import hashlib
import json
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


WRITER = "hf_writer"
"""The token that may upload."""


@contextmanager
def fake_hub(models: dict[str, Path], uploads: Path | None = None) -> Iterator[str]:
    """Serve folders as models.

    Args:
        models: folders by hub id; any revision but ``gone`` is their content. Uploads are added.
        uploads: folder for them.

    Yields:
        The hub's address.
    """

    uploaded: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {WRITER}":
                return self._refuse(401, "RepoNotFound")
            if self.path == "/api/repos/create":
                said = json.loads(request)
                model = f"{said.get('organization') or 'owner'}/{said['name']}"
                return self._say({"url": f"{address}/{model}"})
            if self.path == "/api/validate-yaml":
                return self._say({"errors": [], "warnings": []})
            owner, name, what = self.path.removeprefix("/api/models/").split("/")[:3]
            if what == "preupload":
                paths = [file["path"] for file in json.loads(request)["files"]]
                regular = {"uploadMode": "regular", "shouldIgnore": False}
                return self._say({"files": [{"path": path, **regular} for path in paths]})
            assert what == "commit" and uploads is not None
            folder = models.setdefault(f"{owner}/{name}", uploads / owner / name)
            uploaded.add(f"{owner}/{name}")
            for line in map(json.loads, request.splitlines()):
                if line["key"] == "file":
                    path = folder / line["value"]["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(line["value"]["content"]))
            url = f"{address}/{owner}/{name}/commit/{COMMIT}"
            return self._say({"commitUrl": url, "commitOid": COMMIT, "success": True})

        def _list(self, model: str) -> None:
            paths = [path for path in sorted(models[model].rglob("*")) if path.is_file()]
            names = {path.relative_to(models[model]).as_posix(): path for path in paths}
            if "/tree/" in self.path:
                return self._say(
                    [
                        {"type": "file", "path": name, "size": path.stat().st_size, "oid": COMMIT}
                        for name, path in names.items()
                    ]
                )
            siblings = [{"rfilename": name} for name in names]
            return self._say({"id": model, "sha": COMMIT, "siblings": siblings})

        def _say(self, answer: object) -> None:
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

        def _answer(self, with_body: bool) -> None:
            owner, name, what, revision, *inside = [*self.path.strip("/").split("/"), "", "", ""]
            model = f"{owner}/{name}"
            if model in REFUSALS:
                return self._refuse(*REFUSALS[model])
            listed = "/".join(self.path.removeprefix("/api/models/").split("/")[:2])
            if self.path.startswith("/api/models/") and listed in uploaded:
                return self._list(listed)
            if self.path.startswith("/api/"):  # lists of files, which only uploads have here
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
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
