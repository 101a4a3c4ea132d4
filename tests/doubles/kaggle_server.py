"""A Kaggle on loopback for the real client: competitions, datasets, kernels that really run, and faults on demand.

    server = KaggleServer(folder)
    environment.update(server.environment())

It is reached as an HTTP proxy, since the client's local address has no port. What was sent is kept in `calls`. The faults of
`fail` are used up one by one.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.doubles.kaggle_competitions import Competition, told
from tests.doubles.kaggle_kernels import Dataset, Kernel, Session, mounted, run, unpack

USER = "tester"
TOKEN = "KGAT_for-the-double-only"
ADDRESS = "http://localhost"  # as the client spells a local Kaggle


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    authorization: str
    body: bytes

    @property
    def rpc(self) -> str:
        return self.path.rpartition("/")[2] if self.path.startswith("/api/v1/") else ""


@dataclass
class Fault:
    """Instead of the answer: a status, `body` as it is, silence for `slow_s`, or (`lost`) done, but the answer never arrives."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    slow_s: float = 0.0
    lost: bool = False
    times: int = 1


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Raw:
    """A file, or a way to one."""

    content: bytes = b""
    location: str = ""


class KaggleServer:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[Call] = []
        self.ranges: list[str] = []  # of files, as they were asked for
        self.faults: dict[str, Fault] = {}
        self.refused_tokens: set[str] = set()
        self.competitions: dict[str, Competition] = {}
        self.datasets: dict[str, Dataset] = {}
        self.kernels: dict[str, Kernel] = {}
        self.layout = "new"
        self.dataset_polls = 1
        self.dataset_error = ""  # what Kaggle says instead of making a dataset
        self.push_error = ""  # what Kaggle says instead of starting a kernel
        self.gpu_used_s, self.gpu_allowed_s = 5_400, 108_000
        self.may_start = threading.Event()  # cleared: kernels wait in the queue
        self.may_start.set()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.uploads: dict[str, Path] = {}
        self.lock = threading.Lock()
        self.closing = threading.Event()
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                double.answer(self)

            do_GET = do_PUT = do_POST

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])

    def environment(self) -> dict[str, str]:
        """What makes the real client speak to this server and nobody else."""
        proxy = f"http://127.0.0.1:{self.port}"
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "KAGGLE_API_TOKEN": TOKEN,
            "KAGGLE_CONFIG_DIR": str(self.root / "no-config"),
            "http_proxy": proxy,
            "https_proxy": proxy,
            "no_proxy": "127.0.0.1",
        }

    def close(self) -> None:
        self.closing.set()
        self.may_start.set()
        for kernel in self.kernels.values():
            for session in kernel.sessions:
                session.kill()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def fail(self, rpc: str, status: int = 200, **how: Any) -> None:
        """Let the next answer to `rpc` be a fault; "*" is any."""
        self.faults[rpc] = Fault(status, **how)

    def sent(self, rpc: str) -> list[dict[str, Any]]:
        """The bodies of all calls of `rpc`."""
        return [json.loads(call.body) for call in self.calls if call.rpc == rpc]

    def sessions(self, slug: str) -> list[Session]:
        kernel = self.kernels.get(f"{USER}/{slug}")
        return [] if kernel is None else kernel.sessions

    # HTTP

    def answer(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("Content-Length") or 0))
        path = urlsplit(http.path).path
        call = Call(http.command, path, http.headers.get("Authorization", ""), body)
        self.calls.append(call)
        fault = self._fault(call)
        if fault is not None and fault.slow_s:
            self.closing.wait(fault.slow_s)
        if fault is not None and not fault.lost and (fault.status != 200 or fault.body is not None):
            told_body = fault.body or json.dumps({"code": fault.status, "message": "as asked for"}).encode()
            self._send(http, fault.status, told_body, {"Content-Type": "application/json", **fault.headers})
            return
        try:
            with self.lock:
                found = self._respond(call)
        except Refusal as refusal:
            told_body = json.dumps({"code": refusal.status, "message": str(refusal)}).encode()
            self._send(http, refusal.status, told_body, {"Content-Type": "application/json"})
            return
        if fault is not None and fault.lost:
            http.close_connection = True
            with suppress(OSError):
                http.connection.shutdown(socket.SHUT_RDWR)
        elif isinstance(found, Raw) and found.location:
            self._send(http, 302, b"", {"Location": found.location})
        elif isinstance(found, Raw):
            self._send_file(http, found.content)
        else:
            self._send(http, 200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _fault(self, call: Call) -> Fault | None:
        for name in (call.rpc or call.path, "*"):
            fault = self.faults.get(name)
            if fault is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self.faults[name]
                return fault
        return None

    def _send(self, http: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        with suppress(OSError):  # whoever asked has gone
            http.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                http.send_header(name, value)
            http.end_headers()
            http.wfile.write(body)

    def _send_file(self, http: BaseHTTPRequestHandler, content: bytes) -> None:
        """Whole, or the range that is asked for, as the store behind Kaggle does."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": f'"{len(content)}"',
            "Last-Modified": "Tue, 01 Jan 2019 00:00:00 GMT",
        }
        asked = http.headers.get("Range", "")
        self.ranges.append(asked)
        asked = asked.removeprefix("bytes=")
        if not asked:
            self._send(http, 200, content, headers)
            return
        first, _, last = asked.partition("-")
        start, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
        if start >= len(content):
            self._send(http, 416, b"", headers)
            return
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self._send(http, 206, content[start : end + 1], headers)

    def _respond(self, call: Call) -> Any:
        if call.path.startswith("/upload/"):
            self.uploads[call.path.rpartition("/")[2]].write_bytes(call.body)
            return {}
        if call.path.startswith("/files/"):
            return Raw(self._file(unquote(call.path.removeprefix("/files/"))))
        token = call.authorization.removeprefix("Bearer ")
        if not token or token in self.refused_tokens:
            raise Refusal(401, "Unauthenticated")
        asked = json.loads(call.body or b"{}")
        rpc = getattr(self, f"_{call.rpc}", None)
        if rpc is None:
            raise Refusal(404, f"there is no {call.rpc}")
        return rpc(asked)

    def _file(self, name: str) -> bytes:
        kind, _, rest = name.partition("/")
        if kind == "data":
            return self.competitions[rest.removesuffix(".zip")].zipped()
        if kind == "submission":
            every = (one for competition in self.competitions.values() for one in competition.sent)
            return next(one.content for one in every if one.ref == int(rest))
        slug, version, path = rest.split("/", 2)
        session = self.sessions(slug)[int(version)]
        return session.more_outputs.get(path) or (session.working / path).read_bytes()

    # The account

    def _IntrospectToken(self, asked: dict[str, Any]) -> Any:
        return {"active": True, "username": USER}

    # Competitions

    def _competition(self, asked: dict[str, Any]) -> Competition:
        found = self.competitions.get(asked["competitionName"])
        if found is None:
            raise Refusal(404, "Not found")
        return found

    def _ListCompetitions(self, asked: dict[str, Any]) -> Any:
        words = asked.get("search", "")
        found = [one for slug, one in self.competitions.items() if words in slug]
        return {"competitions": [one.described(self.now()) for one in found], "nextPageToken": ""}

    def _DownloadDataFiles(self, asked: dict[str, Any]) -> Any:
        competition = self._competition(asked)
        if not competition.rules_accepted:
            raise Refusal(403, "You must accept this competition's rules before you'll be able to download files.")
        return Raw(location=f"{ADDRESS}/files/data/{competition.slug}.zip")

    def _StartSubmissionUpload(self, asked: dict[str, Any]) -> Any:
        self._competition(asked)
        return self._upload(asked["fileName"])

    def _CreateSubmission(self, asked: dict[str, Any]) -> Any:
        competition = self._competition(asked)
        if competition.today(self.now()) >= competition.a_day:
            raise Refusal(400, "Submission not allowed: Your team has used its daily Submission allowance.")
        path = self.uploads[asked["blobFileTokens"]]
        said = asked.get("submissionDescription", "")
        one = competition.take(path.name, path.read_bytes(), said, self.now())
        return {"message": "Successfully submitted", "ref": one.ref}

    def _ListSubmissions(self, asked: dict[str, Any]) -> Any:
        return self._page(asked, "submissions", self._competition(asked).listed())

    def _DownloadSubmission(self, asked: dict[str, Any]) -> Any:
        return Raw(location=f"{ADDRESS}/files/submission/{asked['submissionId']}")

    def _GetSubmissionLimits(self, asked: dict[str, Any]) -> Any:
        return self._competition(asked).limits(self.now())

    def _DownloadLeaderboard(self, asked: dict[str, Any]) -> Any:
        return Raw(self._competition(asked).leaderboard_zip())

    def _GetLeaderboard(self, asked: dict[str, Any]) -> Any:
        competition = self._competition(asked)
        private = competition.is_over(self.now()) and not asked.get("overridePublic")
        rows = [
            {"teamId": team, "teamName": name, "score": score, "submissionDate": told(self.now())}
            for team, name, score in competition.board(private=private)
        ]
        return self._page(asked, "submissions", rows)

    # Blobs and datasets

    def _upload(self, name: str) -> dict[str, str]:
        token = f"blob-{len(self.uploads)}"
        folder = self.root / "blobs" / token
        folder.mkdir(parents=True)
        self.uploads[token] = folder / Path(name).name
        return {"token": token, "createUrl": f"{ADDRESS}/upload/{token}"}

    def _StartBlobUpload(self, asked: dict[str, Any]) -> Any:
        return self._upload(asked["name"])

    def _GetDatasetStatus(self, asked: dict[str, Any]) -> Any:
        found = self.datasets.get(f"{asked['ownerSlug']}/{asked['datasetSlug']}")
        if found is None:
            raise Refusal(403, "Permission 'datasets.get' was denied")
        found.polls -= 1
        if found.failed:
            return {"status": "FAILED"}
        return {"status": "READY" if found.polls < 0 else "BLOBS_RECEIVED"}

    def _CreateDataset(self, asked: dict[str, Any]) -> Any:
        ref = f"{asked['ownerSlug']}/{asked['slug']}"
        if self.dataset_error:
            return {"status": "error", "error": self.dataset_error}
        if ref in self.datasets:
            return {
                "status": "error",
                "error": f'The requested title "{asked["title"]}" is already in use by a dataset.',
            }
        folder = self.root / "datasets" / asked["slug"]
        files = {self.uploads[one["token"]].name: self.uploads[one["token"]] for one in asked["files"]}
        for path in files.values():
            unpack(path, folder)
        self.datasets[ref] = Dataset(folder, files, bool(asked.get("isPrivate")), self.dataset_polls)
        return {"ref": ref, "url": f"https://www.kaggle.com/datasets/{ref}", "status": "ok", "error": ""}

    def _DeleteDataset(self, asked: dict[str, Any]) -> Any:
        found = self.datasets.pop(f"{asked['ownerSlug']}/{asked['datasetSlug']}", None)
        if found is not None:
            shutil.rmtree(found.dir)
        return {}

    def _ListDatasets(self, asked: dict[str, Any]) -> Any:
        rows = [
            {"ref": ref, "totalBytes": sum(path.stat().st_size for path in one.files.values())}
            for ref, one in self.datasets.items()
        ]
        return self._page(asked, "datasets", rows)

    # Kernels

    def _DeleteKernel(self, asked: dict[str, Any]) -> Any:
        if self.kernels.pop(f"{asked['userName']}/{asked['kernelSlug']}", None) is None:
            raise Refusal(404, "Not found")
        return {}

    def _SaveKernel(self, asked: dict[str, Any]) -> Any:
        ref = asked["slug"]
        if self.push_error:
            return {"ref": "", "url": "", "error": self.push_error}
        kernel = self.kernels.setdefault(ref, Kernel(ref))
        slug = ref.partition("/")[2]
        folder = self.root / "sessions" / f"{slug}-v{len(kernel.sessions) + 1}"
        for name in ("input", "working"):
            (folder / name).mkdir(parents=True)
        invalid = self._mount(folder / "input", asked)
        session = Session(folder, asked, self.may_start)
        kernel.sessions.append(session)
        threading.Thread(target=run, args=(session, asked["text"]), daemon=True).start()
        return {
            "ref": f"/code/{ref}",
            "url": f"https://www.kaggle.com/code/{ref}",
            "versionNumber": len(kernel.sessions),
            **invalid,
        }

    def _mount(self, root: Path, asked: dict[str, Any]) -> dict[str, list[str]]:
        """Link the sources that are there; those that are not are only told of, as Kaggle does."""
        invalid: dict[str, list[str]] = {}
        for ref in asked.get("datasetDataSources", []):
            dataset = self.datasets.get(ref)
            if dataset is None or dataset.polls >= 0 or dataset.failed:
                invalid.setdefault("invalidDatasetSources", []).append(ref)
            else:
                self._link(dataset.dir, mounted(root, "datasets", *ref.split("/"), self.layout))
        for slug in asked.get("competitionDataSources", []):
            competition = self.competitions.get(slug)
            if competition is None or not competition.rules_accepted:
                invalid.setdefault("invalidCompetitionSources", []).append(slug)
                continue
            target = mounted(root, "competitions", "", slug, self.layout)
            for name, content in competition.files.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(content)
        for ref in asked.get("kernelDataSources", []):
            kernel = self.kernels.get(ref)
            if kernel is None or kernel.sessions[-1].status != "COMPLETE":
                invalid.setdefault("invalidKernelSources", []).append(ref)
            else:
                self._link(kernel.sessions[-1].working, mounted(root, "notebooks", *ref.split("/"), self.layout))
        return invalid

    def _link(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)

    def _session(self, asked: dict[str, Any]) -> tuple[str, int, Session]:
        kernel = self.kernels.get(f"{asked['userName']}/{asked['kernelSlug']}")
        if kernel is None:
            raise Refusal(403, "Permission 'kernels.get' was denied")
        return asked["kernelSlug"], len(kernel.sessions) - 1, kernel.sessions[-1]

    def _GetKernelSessionStatus(self, asked: dict[str, Any]) -> Any:
        _, _, session = self._session(asked)
        return {"status": session.status, "failureMessage": session.failure}

    def _ListKernelSessionOutput(self, asked: dict[str, Any]) -> Any:
        slug, version, session = self._session(asked)
        names = sorted({*session.outputs(), *session.more_outputs})
        files = [{"fileName": name, "url": f"{ADDRESS}/files/output/{slug}/{version}/{quote(name)}"} for name in names]
        return {**self._page(asked, "files", files), "log": session.log}

    def _GetAcceleratorQuotaStatistics(self, asked: dict[str, Any]) -> Any:
        quota = {"timeUsed": f"{self.gpu_used_s}s", "totalTimeAllowed": f"{self.gpu_allowed_s}s"}
        return {"quotaRefreshTime": "2026-03-07T00:00:00Z", "gpuQuota": quota}

    def _page(self, asked: dict[str, Any], name: str, rows: list[Any]) -> dict[str, Any]:
        size, start = asked.get("pageSize") or 20, int(asked.get("pageToken") or 0)
        more = start + size < len(rows)
        return {name: rows[start : start + size], "nextPageToken": str(start + size) if more else ""}
