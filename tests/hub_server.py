"""A hub on this machine that speaks as the real one does and fails as it is told, and a client in a process of its own.

The client is huggingface_hub itself, which reads HF_ENDPOINT and HF_HUB_OFFLINE when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Files = Mapping[str, bytes]
PAGE = 2
"""As many files as one answer lists; the real hub's pages have a thousand."""
CHUNK = 16 * 1024


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    status: int = 0
    """Instead of the answer; 0 for the answer itself."""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    """The connection ends after so many bytes of the body."""
    reset: bool = False
    """It ends with a reset rather than in an orderly way."""
    pause: float = 0.0
    """Seconds before the answer, and between any two chunks of it."""
    length: int | None = None
    """The size that a file is said to have."""
    flipped: bool = False
    """One bit of the body is another."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    range: str | None
    token: str | None


class Hub:
    """Repositories by name, each with its revisions, each with its files."""

    def __init__(self, repositories: Mapping[str, Mapping[str, Files]]) -> None:
        self.repositories = {name: dict(revisions) for name, revisions in repositories.items()}
        self.tags: set[str] = set()
        """The revisions that are tags, as `owner/name@revision`; all others are branches."""
        self.gated: set[str] = set()
        """Repositories whose files are listed and not given."""
        self.requests: list[Request] = []
        self._faults: list[tuple[str, str, Fault]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": self}))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that has gone is no news
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def plan(self, request: str, *faults: Fault) -> None:
        """For the next requests such as `GET step1/resolve/config.json`: a method, and words that the path has."""
        method, _, words = request.partition(" ")
        self._faults += [(method, words, fault) for fault in faults]

    @contextmanager
    def watched(self) -> Iterator[list[Request]]:
        """The requests from here on; every fault that was planned must have come about."""
        self.requests.clear()
        yield self.requests
        left, self._faults = self._faults, []
        assert not left, f"nobody asked for {left}"

    def fault(self, method: str, path: str) -> Fault:
        for planned in self._faults:
            if planned[0] == method and all(word in path for word in planned[1].split()):
                self._faults.remove(planned)
                return planned[2]
        return Fault()

    def commit(self, repository: str, revision: str) -> str:
        files = self.repositories[repository][revision]
        told = [repository, revision, *(name + hashlib.sha256(content).hexdigest() for name, content in files.items())]
        return hashlib.sha1("\n".join(told).encode()).hexdigest()

    def revision(self, repository: str, name: str) -> str | None:
        """By its name or its commit."""
        here = self.repositories[repository]
        return next((one for one in here if name in (one, self.commit(repository, one))), None)


class _Answers(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self._fault = self.hub.fault(self.command, unquote(self.path))
        self.hub.requests.append(
            Request(self.command, unquote(self.path), self.headers["Range"], self.headers["Authorization"])
        )
        time.sleep(self._fault.pause)
        if self._fault.status:
            self._send(self._fault.status, b"", self._fault.headers)
            return
        address = urlsplit(self.path)
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        if parts[0] == "elsewhere":
            self._content("/".join(parts[1:3]), parts[3], "/".join(parts[4:]))
        elif parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[4:], parse_qs(address.query))
        elif parts[2:3] == ["resolve"]:
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._send(404)

    def _api(self, repository: str, rest: list[str], query: dict[str, list[str]]) -> None:
        if repository not in self.hub.repositories:
            self._send(401, b'{"error":"Invalid username or password."}', {"X-Error-Message": "Invalid username"})
        elif rest == ["refs"]:
            kinds: dict[str, list[dict[str, str]]] = {"branches": [], "tags": [], "converts": []}
            for name in self.hub.repositories[repository]:
                kind, ref = ("tags", "tags") if f"{repository}@{name}" in self.hub.tags else ("branches", "heads")
                commit = self.hub.commit(repository, name)
                kinds[kind].append({"name": name, "ref": f"refs/{ref}/{name}", "targetCommit": commit})
            self._json(kinds)
        elif rest[:1] == ["tree"] and (revision := self.hub.revision(repository, rest[1])):
            start = int(query.get("cursor", ["0"])[0])
            listed = list(map(_listed, *zip(*self.hub.repositories[repository][revision].items(), strict=True)))
            onward = f"{self.hub.address}{urlsplit(self.path).path}?recursive=true&cursor={start + PAGE}"
            more = {"Link": f'<{onward}>; rel="next"'} if start + PAGE < len(listed) else {}
            self._json(listed[start : start + PAGE], more)
        else:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})

    def _file(self, repository: str, name: str, path: str) -> None:
        """Small files are given here, and large ones elsewhere."""
        revision = self.hub.revision(repository, name) if repository in self.hub.repositories else None
        content = self.hub.repositories[repository][revision].get(path) if revision else None
        if repository in self.hub.gated:
            self._send(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif revision is None or content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            commit = self.hub.commit(repository, revision)
            headers = {"X-Repo-Commit": commit, "ETag": f'"{_blob(content)}"', "Accept-Ranges": "bytes"}
            if _large(path):
                size = len(content) if self._fault.length is None else self._fault.length
                location = f"http://localhost:{self.hub.port}/elsewhere/{repository}/{commit}/{path}"
                linked = {"X-Linked-Etag": f'"{_sha256(content)}"', "X-Linked-Size": str(size)}
                self._send(302, b"", {**headers, **linked, "Location": location})
            else:
                self._ranged(content, headers)

    def _content(self, repository: str, commit: str, path: str) -> None:
        revision = self.hub.revision(repository, commit)
        assert revision is not None
        self._ranged(self.hub.repositories[repository][revision][path], {"Accept-Ranges": "bytes"})

    def _ranged(self, content: bytes, headers: Mapping[str, str]) -> None:
        if wanted := self.headers["Range"]:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            told = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], {**headers, "Content-Range": told})
        else:
            self._send(200, content, headers)

    def _json(self, answer: object, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self._fault.flipped:
            body = bytes([body[0] ^ 1]) + body[1:]
        whole = body if self._fault.cut is None else body[: self._fault.cut]
        for start in range(0, len(whole), CHUNK):
            time.sleep(self._fault.pause if start else 0)
            self.wfile.write(whole[start : start + CHUNK])
        if self._fault.cut is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        if self._fault.reset:
            time.sleep(0.1)  # what was sent is to arrive first
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()


def _large(path: str) -> bool:
    return path.endswith((".safetensors", ".bin", ".pt"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _blob(content: bytes) -> str:
    """As git names it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _listed(path: str, content: bytes) -> dict[str, object]:
    large = {"lfs": {"oid": _sha256(content), "size": len(content), "pointerSize": 134}} if _large(path) else {}
    return {"type": "file", "oid": _blob(content), "size": len(content), "path": path, **large}


def read_folder(folder: Path, below: str = "") -> dict[str, bytes]:
    """Its files as a revision holds them."""
    return {below + path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@dataclass(frozen=True)
class Answer:
    """What came of a call: a value or an error, and the seconds that it would have waited."""

    value: Any
    error: Exception | None
    waits: list[float]


class Client:
    """A process whose huggingface_hub knows one hub, and into whose hands functions of ours are given."""

    def __init__(self, address: str, home: Path, **settings: str) -> None:
        environment = {
            "HF_ENDPOINT": address,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_ETAG_TIMEOUT": "2",
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "HF_TOKEN": "hf_of_the_tests",
            **settings,
        }
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_settle, initargs=(environment,))

    def ask(self, call: Callable[..., Any], *arguments: object, attempts: int = 4) -> Answer:
        """With a clock that does not make us wait."""
        return self._pool.submit(_called, call, arguments, attempts).result()

    def run(self, call: Callable[..., Any], *arguments: object) -> Any:
        """As it is."""
        return self._pool.submit(call, *arguments).result()

    def close(self) -> None:
        """At once: to take torch apart again, as Python does at its end, takes seconds."""
        self._pool.submit(os._exit, 0)
        self._pool.shutdown()


def _settle(environment: dict[str, str]) -> None:
    os.environ.update(environment)


def _called(call: Callable[..., Any], arguments: tuple[object, ...], attempts: int) -> Answer:
    from observatory.replay.retry import Patience

    waits: list[float] = []
    try:
        patience = Patience(attempts, sleep=waits.append, chance=lambda: 1.0)
        return Answer(call(*arguments, patience=patience), None, waits)
    except Exception as error:
        return Answer(None, type(error)(str(error)), waits)
