"""A small Hugging Face Hub in memory, over HTTP on 127.0.0.1: as much of the API as huggingface_hub needs to create, upload, tag and
download without Xet. It notes every request, and goes wrong on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LFS = (".safetensors", ".png", ".gif")


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    refs: dict[str, str] = field(default_factory=dict)  # main and the tags -> commit
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # commit -> files
    private: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        listing = repr((len(self.commits), sorted((k, git_blob(v)) for k, v in files.items())))
        sha = hashlib.sha1(listing.encode()).hexdigest()
        self.commits[sha] = files
        self.refs[branch] = sha
        return sha

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        sha = self.refs.get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


@dataclass
class Request:
    method: str
    path: str
    token: str | None
    status: int


class LocalHub(ThreadingHTTPServer):
    """faults: (part of "METHOD path", what goes wrong): each happens once, in order, at the next request that it fits.

    A status (503, 401, …); ``cut``: the connection ends in the middle of the body; ``flip``: one bit of the body is another;
    ``short``: the last bytes are missing, and the length says so. cdn: another hub that large files are redirected to.
    """

    daemon_threads = True

    def __init__(self, token: str | None = None, cdn: LocalHub | None = None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.faults: list[tuple[str, int | str]] = []
        self.token, self.cdn = token, cdn
        self.lock = threading.RLock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked(self, part: str) -> int:
        """How many requests' "METHOD path" have this in them."""
        return sum(part in f"{r.method} {r.path}" for r in self.requests)

    def fault(self, what: str) -> int | str | None:
        with self.lock:
            for i, (part, fault) in enumerate(self.faults):
                if part in what:
                    del self.faults[i]
                    return fault
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LocalHub

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        """Send a reply, or what the fault of the hour makes of it."""
        if isinstance(body, (dict, list)):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        if self.broken == "flip" and self.command == "GET" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.broken == "short" and body:
            body = body[:-20]
        self.server.requests.append(Request(self.command, self.path, self.headers.get("Authorization"), status))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.broken == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(body)

    def failed(self, status, name):
        self.answer(status, {"error": name}, X_Error_Code=name, X_Error_Message=name)

    def body(self):
        if (n := self.headers.get("Content-Length")) is not None:
            return self.rfile.read(int(n))
        parts = []  # chunked
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def handle_any(self):
        self.data = self.body() if self.command in ("POST", "PUT") else b""
        self.at = unquote(urlsplit(self.path).path)
        fault = self.server.fault(f"{self.command} {self.at}")
        self.broken = fault if isinstance(fault, str) else None
        token = self.server.token
        if isinstance(fault, int):
            return self.failed(fault, "Fault")
        if token and self.headers.get("Authorization") != f"Bearer {token}" and "/lfs/" not in self.at:
            return self.failed(401, "Unauthorized")
        for method, pattern, act in ROUTES:
            if method == self.command.replace("HEAD", "GET") and (m := re.fullmatch(pattern, self.at)):
                with self.server.lock:
                    return act(self, *m.groups())
        return self.failed(404, "EntryNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

    def repo(self, name):
        if name not in self.server.repos:
            self.failed(404, "RepoNotFound")
        return self.server.repos.get(name)

    def found(self, name, revision):
        """(repository, commit, files), or None after having said what is missing."""
        if (repo := self.repo(name)) is None:
            return None
        if (at := repo.at(revision)) is None:
            return self.failed(404, "RevisionNotFound")
        return repo, *at

    # --- what is there ---

    def whoami(self):
        self.answer(200, {"name": "me", "type": "user", "orgs": []})

    def model(self, name, revision="main"):
        if found := self.found(name, revision):
            repo, sha, files = found
            siblings = [{"rfilename": f} for f in files]
            self.answer(
                200,
                {"id": name, "modelId": name, "sha": sha, "private": repo.private, "tags": [], "siblings": siblings},
            )

    def refs(self, name):
        if repo := self.repo(name):
            ref = lambda kind, n: {"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": repo.refs[n]}  # noqa: E731
            tags = [ref("tags", n) for n in repo.refs if n != "main"]
            self.answer(200, {"branches": [ref("heads", "main")], "converts": [], "tags": tags})

    def paths_info(self, name, revision):
        if found := self.found(name, revision):
            files = found[2]
            wanted = re.findall(r"paths=([^&]+)", unquote(self.data.decode()))
            self.answer(200, [described(p, files[p]) for p in wanted if p in files])

    def resolve(self, name, revision, path):
        if not (found := self.found(name, revision)):
            return
        _, sha, files = found
        if path not in files:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=sha)
        data, large = files[path], path.endswith(LFS)
        about = {"ETag": f'"{hashlib.sha256(data).hexdigest() if large else git_blob(data)}"', "X_Repo_Commit": sha}
        if large and self.server.cdn is not None:
            oid = hashlib.sha256(data).hexdigest()
            self.server.cdn.blobs[oid] = data
            linked = {"X_Linked_Size": str(len(data)), "X_Linked_ETag": about["ETag"], "X_Repo_Commit": sha}
            return self.answer(302, Location=f"{self.server.cdn.url}/lfs/{oid}", **linked)
        self.send_range(data, about)

    def send_range(self, data, about):
        if m := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(m[1]), int(m[2] or len(data) - 1)
            return self.answer(206, data[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(data)}", **about)
        self.answer(200, data, Accept_Ranges="bytes", **about)

    def blob(self, oid):
        self.send_range(self.server.blobs[oid], {}) if oid in self.server.blobs else self.failed(404, "EntryNotFound")

    # --- what is made ---

    def create(self):
        asked = json.loads(self.data)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if name in self.server.repos:
            return self.answer(409, {"error": "exists", "url": f"{self.server.url}/{name}"})
        repo = self.server.repos[name] = Repo(
            private=asked.get("visibility") == "private" or bool(asked.get("private"))
        )
        repo.commit({})
        self.answer(200, {"url": f"{self.server.url}/{name}", "name": name, "id": name})

    def validate(self):
        self.answer(200, {"errors": [], "warnings": []})

    def preupload(self, name, revision):
        if found := self.found(name, revision):
            there = found[2]
            self.answer(200, {"files": [planned(f["path"], there) for f in json.loads(self.data)["files"]]})

    def lfs_batch(self, name):
        objects = []
        for o in json.loads(self.data)["objects"]:
            action = (
                {}
                if o["oid"] in self.server.blobs
                else {"actions": {"upload": {"href": f"{self.server.url}/lfs/{o['oid']}"}}}
            )
            objects.append({"oid": o["oid"], "size": o["size"], **action})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, oid):
        if hashlib.sha256(self.data).hexdigest() != oid:
            return self.failed(400, "BadHash")
        self.server.blobs[oid] = self.data
        self.answer(200)

    def commit(self, name, branch):
        if not (found := self.found(name, branch)):
            return
        repo, _, files = found
        files = dict(files)
        for line in self.data.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.blobs[value["oid"]]
        sha = repo.commit(files, branch)
        self.answer(200, {"commitUrl": f"{self.server.url}/{name}/commit/{sha}", "commitOid": sha, "success": True})

    def tag(self, name, revision):
        if repo := self.repo(name):
            tag = json.loads(self.data)["tag"]
            if tag in repo.refs:
                return self.failed(409, "TagExists")
            repo.refs[tag] = repo.refs.get(revision, revision)
            self.answer(200, {})


def described(path, data):
    lfs = (
        {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}}
        if path.endswith(LFS)
        else {}
    )
    return {"type": "file", "path": path, "size": len(data), "oid": git_blob(data), **lfs}


def planned(path, there):
    mode = "lfs" if path.endswith(LFS) else "regular"
    oid = (
        None
        if path not in there
        else hashlib.sha256(there[path]).hexdigest()
        if mode == "lfs"
        else git_blob(there[path])
    )
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}


NAME = r"([^/]+/[^/]+)"
ROUTES = [
    ("GET", r"/api/whoami-v2", Handler.whoami),
    ("GET", rf"/api/models/{NAME}/refs", Handler.refs),
    ("GET", rf"/api/models/{NAME}/revision/(.+)", Handler.model),
    ("GET", rf"/api/models/{NAME}", Handler.model),
    ("GET", rf"/{NAME}/resolve/([^/]+)/(.+)", Handler.resolve),
    ("GET", r"/lfs/(\w+)", Handler.blob),
    ("PUT", r"/lfs/(\w+)", Handler.lfs_put),
    ("POST", r"/api/repos/create", Handler.create),
    ("POST", r"/api/validate-yaml", Handler.validate),
    ("POST", rf"/api/models/{NAME}/paths-info/([^/]+)", Handler.paths_info),
    ("POST", rf"/api/models/{NAME}/preupload/(.+)", Handler.preupload),
    ("POST", rf"/{NAME}.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("POST", rf"/api/models/{NAME}/commit/(.+)", Handler.commit),
    ("POST", rf"/api/models/{NAME}/tag/(.+)", Handler.tag),
]
