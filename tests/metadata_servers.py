"""Metadata servers of the clouds on a port of this machine, for what `raymode.spot` asks them."""

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

AZURE_NAME = "ray-raymode-worker-1"


class Metadata:
    """What the three servers know about the machine; a test changes it while they serve."""

    def __init__(self) -> None:
        self.change = threading.Condition()
        self.asked: list[str] = []  # method and path of every request
        self.status = 200  # of every answer, if another
        self.text: str | None = None  # of every answer to a question for a notice, if given
        self.hangs = False
        self.preempted = False
        self.tokens = 0  # handed out; only the last one is good
        self.action: dict[str, str] | None = None
        self.events: list[dict[str, Any]] = []

    def preempt(self) -> None:
        """Google's notice."""
        with self.change:
            self.preempted = True
            self.change.notify_all()

    def interrupt(self, seconds: float) -> None:
        """Amazon's notice."""
        when = datetime.now(UTC) + timedelta(seconds=seconds)
        self.action = {"action": "terminate", "time": f"{when:%Y-%m-%dT%H:%M:%SZ}"}

    def evict(self, seconds: float, *names: str, kind: str = "Preempt") -> None:
        """Azure's notice."""
        when = datetime.now(UTC) + timedelta(seconds=seconds)
        self.events.append({
            "EventId": "A", "EventType": kind, "EventStatus": "Scheduled", "ResourceType": "VirtualMachine",
            "Resources": list(names), "NotBefore": format_datetime(when, usegmt=True),
        })  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_PUT(self) -> None:
        metadata = self._metadata()
        if (
            self.path != "/latest/api/token"
            or not self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        ):
            return self._answer(400, "")
        metadata.tokens += 1
        return self._answer(200, f"token-{metadata.tokens}")

    def do_GET(self) -> None:
        metadata = self._metadata()
        if metadata.hangs:
            return self.server.ended.wait(30)
        url = urlsplit(self.path)
        if url.path.startswith("/latest/"):
            return self._amazon(metadata)
        if url.path.startswith("/computeMetadata/"):
            return self._google(metadata, parse_qs(url.query))
        return self._azure(metadata, url.path)

    def _metadata(self) -> Metadata:
        metadata: Metadata = self.server.metadata
        metadata.asked.append(f"{self.command} {self.path}")
        return metadata

    def _amazon(self, metadata: Metadata) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != f"token-{metadata.tokens}":
            return self._answer(401, "")
        if self.path != "/latest/meta-data/spot/instance-action" or metadata.action is None:
            return self._answer(404, "Not Found")
        return self._answer(200, json.dumps(metadata.action))

    def _google(self, metadata: Metadata, query: dict[str, list[str]]) -> None:
        if self.headers["Metadata-Flavor"] != "Google":
            return self._answer(403, "")
        with metadata.change:
            if query.get("wait_for_change") == ["true"] and query["last_etag"] == [
                self._etag(metadata)
            ]:
                metadata.change.wait(int(query["timeout_sec"][0]))
            text = "TRUE" if metadata.preempted else "FALSE"
        return self._answer(200, text, self._etag(metadata))

    def _etag(self, metadata: Metadata) -> str:
        return f"etag/{int(metadata.preempted)}"

    def _azure(self, metadata: Metadata, path: str) -> None:
        if self.headers["Metadata"] != "true":
            return self._answer(400, "")
        if path == "/metadata/instance/compute/name":
            return self._answer(200, AZURE_NAME)
        assert path == "/metadata/scheduledevents", path
        return self._answer(200, json.dumps({"DocumentIncarnation": 1, "Events": metadata.events}))

    def _answer(self, status: int, text: str, etag: str = "") -> None:
        metadata: Metadata = self.server.metadata
        if metadata.text is not None and self.command == "GET":
            text = metadata.text
        self.send_response(status if metadata.status == 200 else metadata.status)
        self.send_header("Content-Length", str(len(text)))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    metadata: Metadata
    ended: threading.Event


@contextlib.contextmanager
def serving(metadata: Metadata, port: int = 0) -> Iterator[str]:
    """Serve; yields HOST:PORT."""
    with _Server(("127.0.0.1", port), _Handler) as server:
        server.metadata, server.ended = metadata, threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
