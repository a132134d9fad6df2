"""A stand-in for the Hugging Face Hub: a real HTTP server with repositories in memory.

It answers what ``huggingface_hub`` asks to create repositories and branches, to upload (preupload,
LFS batch, LFS objects, one commit) and to download (revisions, trees, files), with the headers and
error codes of the Hub's interface. A commit of an LFS object that has not arrived is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_stand_in"
"""The one token that is known; it may write to whatever is not in ``closed``."""

LARGE = (".safetensors", ".mxq")
"""Files that go to LFS, whatever their size."""


@dataclass
class Repository:
    """A repository: its branches, and the files of each commit."""

    private: bool = False
    gated: bool = False
    license: str | None = None
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        """Add a commit to a branch; returns its hash."""
        number = f"{len(self.commits)} {message} {sorted(files)}"
        commit = hashlib.sha1(number.encode()).hexdigest()
        self.commits[commit], self.branches[branch] = files, commit
        self.messages.append(message)
        return commit

    def find(self, revision: str) -> str | None:
        """The commit of a branch, or that itself."""
        return self.branches.get(revision, revision if revision in self.commits else None)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """The files of a revision."""
        return self.commits[self.branches.get(revision, revision)]


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str = "", message: str = "", **facts: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message, self.facts = status, code, message, facts


class StandIn:
    """The state of the server.

    Attributes:
        repositories: by their ids.
        objects: of LFS, by their SHA-256.
        requests: what was asked, ``"METHOD /path"``, in order.
        closed: owners in whose names the token may not write.
        on_upload: called with each LFS object's hash before it is taken; may raise Refusal.
        before_commit: called before a commit is looked at.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.closed: set[str] = set()
        self.on_upload: Callable[[str], None] = lambda oid: None
        self.before_commit: Callable[[], None] = lambda: None
        self.url = ""

    def add(self, name: str, files: dict[str, bytes], **facts: Any) -> Repository:
        """A repository with one commit."""
        repository = self.repositories[name] = Repository(**facts)
        repository.commit("main", files, "first")
        return repository

    def fetched(self) -> list[str]:
        """The names of the files downloaded."""
        return [line.rpartition("/")[2] for line in self.requests
                if line.startswith("GET") and "/resolve/" in line]  # fmt: skip

    def readable(self, name: str, token: str | None) -> Repository:
        repository = self.repositories.get(name)
        if token not in (None, TOKEN):
            raise Refusal(401, message="Invalid credentials in Authorization header")
        if repository is None or (repository.private and token is None):
            raise Refusal(401 if token is None else 404, "RepoNotFound", "Repository not found")
        return repository

    def writable(self, name: str, token: str | None) -> Repository:
        self.require_writer(name.partition("/")[0], token)
        return self.readable(name, token)

    def require_writer(self, owner: str, token: str | None) -> None:
        if token != TOKEN:
            raise Refusal(401, message="Invalid credentials in Authorization header")
        if owner in self.closed:
            raise Refusal(403, message="You don't have the rights to write there")

    def create(self, asked: dict[str, Any], token: str | None) -> dict[str, Any]:
        name = f"{asked['organization']}/{asked['name']}"
        self.require_writer(asked["organization"], token)
        url = f"{self.url}/{name}"
        if name in self.repositories:
            raise Refusal(409, message="You already created this model repo", url=url)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.add(name, {".gitattributes": b"*.mxq filter=lfs\n"}, private=private)
        return {"url": url, "name": name, "id": name}

    def branch(self, name: str, branch: str, token: str | None) -> dict[str, Any]:
        repository = self.writable(name, token)
        if branch in repository.branches:
            raise Refusal(409, message="Reference already exists")
        repository.branches[branch] = repository.branches["main"]
        return {}

    def info(self, name: str, revision: str, token: str | None) -> dict[str, Any]:
        repository = self.readable(name, token)
        commit = _commit(repository, revision)
        license_ = repository.license
        return {
            "_id": "0", "id": name, "modelId": name, "sha": commit, "private": repository.private,
            "gated": "auto" if repository.gated else False, "tags": [], "downloads": 0,
            "siblings": [{"rfilename": path} for path in repository.commits[commit]],
            **({"cardData": {"license": license_}} if license_ else {}),
        }  # fmt: skip

    def tree(self, name: str, revision: str, token: str | None) -> list[dict[str, Any]]:
        repository = self.readable(name, token)
        files = repository.files(_commit(repository, revision))
        return [_entry(path, data) for path, data in files.items()]

    def preupload(self, name: str, revision: str, asked: Any, token: str | None) -> Any:
        repository = self.writable(name, token)
        held = repository.files(_commit(repository, revision))
        return {"files": [_mode(file["path"], held) for file in asked["files"]]}

    def batch(self, name: str, asked: Any, token: str | None) -> Any:
        self.writable(name, token)
        return {"transfer": "basic", "objects": [self._object(each) for each in asked["objects"]]}

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.objects:
            return asked
        href = f"{self.url}/stand-in-lfs/{asked['oid']}"
        return {**asked, "actions": {"upload": {"href": href, "header": {}}}}

    def take(self, oid: str, data: bytes) -> None:
        self.on_upload(oid)
        if hashlib.sha256(data).hexdigest() != oid:
            raise Refusal(400, message="the object is not what it says")
        self.objects[oid] = data

    def commit(self, name: str, revision: str, lines: list[Any], token: str | None) -> Any:
        self.before_commit()
        repository = self.writable(name, token)
        header, *operations = lines
        parent = header["value"].get("parentCommit")
        if revision not in repository.branches:
            raise Refusal(404, "RevisionNotFound", "no such branch")
        if parent is not None and parent != repository.branches[revision]:
            raise Refusal(412, message="A commit has happened since. Please refresh and try again.")
        files = dict(repository.files(revision))
        for operation in operations:
            self._apply(files, operation["key"], operation["value"])
        commit = repository.commit(revision, files, header["value"]["summary"])
        url = f"{self.url}/{name}/commit/{commit}"
        return {"success": True, "commitOid": commit, "commitUrl": url}

    def _apply(self, files: dict[str, bytes], key: str, value: dict[str, Any]) -> None:
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            if value["oid"] not in self.objects:
                raise Refusal(400, message=f"LFS pointer to an unknown object: {value['path']}")
            files[value["path"]] = self.objects[value["oid"]]
        elif key == "deletedFile":
            del files[value["path"]]
        else:
            raise Refusal(400, message=f"unknown operation {key}")

    def file(
        self, name: str, revision: str, path: str, token: str | None
    ) -> tuple[bytes, dict[str, str]]:
        repository = self.readable(name, token)
        if repository.gated:
            raise Refusal(403, "GatedRepo", "Access to this model is restricted")
        commit = _commit(repository, revision)
        if path not in repository.commits[commit]:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        data = repository.commits[commit][path]
        return data, {"ETag": f'"{_etag(path, data)}"', "X-Repo-Commit": commit}


def _commit(repository: Repository, revision: str) -> str:
    commit = repository.find(revision)
    if commit is None:
        raise Refusal(404, "RevisionNotFound", "Invalid rev id")
    return commit


def _etag(path: str, data: bytes) -> str:
    """What git, or LFS, calls a file's content."""
    if path.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(path: str, data: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(data), "oid": _etag(path, data)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": _etag(path, data), "size": len(data), "pointerSize": 130}
    return entry


def _mode(path: str, held: dict[str, bytes]) -> dict[str, Any]:
    known = {"oid": _etag(path, held[path])} if path in held else {}
    ignored = path in held.get(".gitignore", b"").decode().split()
    mode = "lfs" if path.endswith(LARGE) else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": ignored, **known}


NAME = r"(?P<name>[^/]+/[^/]+)"
ROUTES = {
    "POST": {
        r"/api/repos/create": lambda hub, to, asked, token: hub.create(asked, token),
        r"/api/validate-yaml": lambda hub, to, asked, token: {"errors": [], "warnings": []},
        rf"/api/models/{NAME}/branch/(?P<revision>.+)": lambda hub, to, asked, token: hub.branch(
            to["name"], to["revision"], token
        ),
        rf"/api/models/{NAME}/preupload/(?P<revision>.+)": (
            lambda hub, to, asked, token: hub.preupload(to["name"], to["revision"], asked, token)
        ),
        rf"/api/models/{NAME}/commit/(?P<revision>.+)": lambda hub, to, asked, token: hub.commit(
            to["name"], to["revision"], asked, token
        ),
        rf"/{NAME}\.git/info/lfs/objects/batch": lambda hub, to, asked, token: hub.batch(
            to["name"], asked, token
        ),
    },
    "GET": {
        rf"/api/models/{NAME}": lambda hub, to, asked, token: hub.info(to["name"], "main", token),
        rf"/api/models/{NAME}/revision/(?P<revision>.+)": lambda hub, to, asked, token: hub.info(
            to["name"], to["revision"], token
        ),
        rf"/api/models/{NAME}/tree/(?P<revision>[^/]+)/?": lambda hub, to, asked, token: hub.tree(
            to["name"], to["revision"], token
        ),
    },
}
"""Method and path to what answers it."""

FILE = re.compile(rf"/{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
OBJECT = re.compile(r"/stand-in-lfs/(?P<oid>[0-9a-f]{64})")


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes what the stand-in answers."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are kept, not printed."""

    def _answer(self, method: str) -> None:
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        hub.requests.append(f"{method} {path}")
        body = self._body()
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        try:
            if method in ("GET", "HEAD") and (found := FILE.fullmatch(path)):
                self._write(200, *hub.file(**found.groupdict(), token=token))
            elif method == "PUT" and (found := OBJECT.fullmatch(path)):
                hub.take(found["oid"], body)
                self._write(200, b"", {})
            else:
                answer = self._routed(method, path, body, token)
                self._write(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
        except Refusal as error:
            headers = {"X-Error-Message": error.message, "X-Error-Code": error.code}
            said = json.dumps({"error": error.message, **error.facts}).encode()
            self._write(error.status, said, {**headers, "Content-Type": "application/json"})
        except ConnectionAbortedError:
            self.close_connection = True

    def _routed(self, method: str, path: str, body: bytes, token: str | None) -> Any:
        for pattern, answer in ROUTES.get(method, {}).items():
            if found := re.fullmatch(pattern, path):
                return answer(self.server.hub, found.groupdict(), self._asked(body), token)
        raise Refusal(404, message=f"the stand-in does not know {method} {path}")

    def _asked(self, body: bytes) -> Any:
        if "ndjson" in (self.headers.get("Content-Type") or ""):
            return [json.loads(line) for line in body.splitlines()]
        return json.loads(body) if body else parse_qs(urlsplit(self.path).query)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _write(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Serves a stand-in on loopback."""

    daemon_threads = True

    def __init__(self, hub: StandIn) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub = hub
        hub.url = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving() -> Iterator[StandIn]:
    """A stand-in that answers while the block runs."""
    hub = StandIn()
    with Server(hub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
