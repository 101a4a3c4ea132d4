"""A W&B server on loopback for the real client: wandb.init online, wandb sync and wandb.Api(), and faults on demand.

    server = WandbServer()
    environment.update(server.environment())

It keeps runs in memory (`runs`, by project and id) and what was sent to it (`calls`). A fault stands in for every answer that its
words stand in the path or operation of, as often as it says.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "me"
KEY = "0" * 39 + "1"


@dataclass(frozen=True)
class Call:
    path: str
    operation: str  # of a GraphQL request
    variables: Mapping[str, Any]
    body: bytes


@dataclass
class Fault:
    """Instead of the answer: a status with headers, or silence (`hang`), or a connection that is cut (`cut`)."""

    words: str = ""
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    cut: bool = False
    times: int = 1_000_000


@dataclass
class ServerRun:
    """A run as the server holds it. Moments are seconds UTC."""

    project: str
    id: str
    name: str = ""
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str = ""
    state: str = "running"
    commit: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    created_at: float = 1_772_480_000.0
    heartbeat_at: float = 1_772_480_000.0
    files: dict[str, bytes] = field(default_factory=dict)
    console: list[str] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        return max((row.get("_step", 0) for row in self.history), default=-1)

    def node(self, project_name: str) -> dict[str, Any]:
        return {
            "id": base64.b64encode(f"Run:v1:{self.id}:{project_name}:{ENTITY}".encode()).decode(),
            "projectId": "1",
            "name": self.id,
            "displayName": self.name or self.id,
            "group": self.group,
            "jobType": self.job_type,
            "tags": self.tags,
            "notes": self.notes,
            "description": self.notes,
            "state": self.state,
            "commit": self.commit,
            "createdAt": _iso(self.created_at),
            "heartbeatAt": _iso(self.heartbeat_at),
            "historyLineCount": len(self.history),
            "sweepName": None,
            "readOnly": False,
            "user": {"name": "Me", "username": ENTITY},
            "config": json.dumps({key: {"value": value} for key, value in self.config.items()}),
            "summaryMetrics": json.dumps(self.summary),
            "systemMetrics": "{}",
            "historyKeys": {"keys": {}, "lastStep": self.last_step},
        }


class WandbServer:
    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], ServerRun] = {}
        self.projects: set[str] = set()  # that are there, with or without runs
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.refused_keys: set[str] = set()
        self.now = 1_772_480_000.0
        self.closing = threading.Event()
        self.lock = threading.RLock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                double.answer(self)

            do_GET = do_PUT = do_POST

        class Http(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that went away is no news."""

        self.http = Http(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """What makes the real client speak to this server and nobody else."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY, "WANDB_ERROR_REPORTING": "false"}

    def add(self, project: str, run_id: str, **said: Any) -> ServerRun:
        """A run that somebody logged."""
        self.projects.add(project)
        run = self.runs[project, run_id] = ServerRun(project, run_id, **said)
        return run

    def operations(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.operation == name]

    def close(self) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        asked = json.loads(body) if request.path == "/graphql" and body else {}
        named = re.search(r"(?:query|mutation)\s+(\w+)", asked.get("query", ""))
        call = Call(request.path, named[1] if named else "", asked.get("variables") or {}, body)
        with self.lock:
            self.calls.append(call)
            fault = self._fault(call)
        if fault is not None and fault.hang:
            self.closing.wait()
            return
        if fault is not None and fault.cut:
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault is not None:
            _send(request, fault.status, {"errors": [{"message": "the double was told to fail"}]}, fault.headers)
            return
        key = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ") or b"").decode()
        if key.removeprefix("api:") in self.refused_keys:
            _send(request, 401, {"errors": [{"message": "invalid API key"}]}, {})
            return
        with self.lock:
            status, told = self._done(call)
        _send(request, status, told, {})

    def _fault(self, call: Call) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and (fault.words in call.path or fault.words in call.operation):
                fault.times -= 1
                return fault
        return None

    def _done(self, call: Call) -> tuple[int, Any]:
        if call.path == "/graphql":
            data = self._graphql(call.operation, call.variables)
            if data is None:
                return 200, {"errors": [{"message": f"the double does not know {call.operation}"}]}
            return 200, {"data": data}
        stream = re.fullmatch(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream", call.path)
        if stream:
            self._file_stream(self._run(stream[2], stream[3]), json.loads(call.body))
            return 200, {"exitcode": None, "limits": {}}
        put = re.fullmatch(r"/put/([^/]+)/([^/]+)/(.+)", call.path)
        if put:
            self._run(put[1], put[2]).files[put[3]] = call.body
            return 200, {}
        return (200, {}) if call.path.startswith("/sdk/otel/") else (404, {"error": call.path})

    def _graphql(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        if operation in ("Viewer", "GetDefaultEntity"):
            return {
                "viewer": {
                    "id": "1",
                    "entity": ENTITY,
                    "username": ENTITY,
                    "email": "",
                    "flags": "{}",
                    "teams": {"edges": []},
                }
            }
        if operation in ("ServerFeaturesQuery", "ServerFeatures"):
            return {"serverInfo": {"features": []}}
        if operation == "Runs":
            return {"project": self._listed(asked)}
        if operation == "UpsertBucket":
            return {"upsertBucket": self._upserted(asked)}
        project = asked.get("project") or "uncategorized"
        run = self.runs.get((project, asked.get("run") or asked.get("runName") or asked.get("name") or ""))
        if operation == "RunResumeStatus":
            return {"model": self._project(project) | {"bucket": run and self._resumed(run)}}
        if operation == "CreateRunFiles":
            assert run is not None
            named = [
                {"name": name, "uploadUrl": f"{self.url}/put/{project}/{run.id}/{name}"} for name in asked["files"]
            ]
            return {"createRunFiles": {"runID": run.id, "uploadHeaders": [], "files": named}}
        if run is None:
            return {"project": {"run": None}}
        if operation == "RunHistoryKeys":
            return {"project": {"run": {"historyKeys": {"keys": {}, "lastStep": run.last_step}}}}
        if operation == "RunParquetHistory":
            return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}
        if operation == "HistoryPage":
            rows = [row for row in run.history if asked["minStep"] <= row.get("_step", 0) < asked["maxStep"]]
            return {"project": {"run": {"history": [json.dumps(row) for row in rows[: asked["pageSize"]]]}}}
        return None

    def _listed(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """A page of a project's runs; None for a project that is not there."""
        assert json.loads(asked.get("filters") or "{}") == {}, "the double does not filter"
        order = asked.get("order") or "+created_at"
        by = "heartbeat_at" if "heartbeat" in order else "created_at"
        found = [run for (project, _), run in self.runs.items() if project == asked["project"]]
        if asked["project"] not in self.projects:
            return None
        found.sort(key=lambda run: (getattr(run, by), run.id), reverse=order.startswith("-"))
        start, size = int(asked.get("cursor") or 0), asked["perPage"]
        page = found[start : start + size]
        return {
            "internalId": "1",
            "runCount": len(found),
            "readOnly": False,
            "runs": {
                "edges": [
                    {"node": run.node(run.project), "cursor": str(start + at + 1)} for at, run in enumerate(page)
                ],
                "pageInfo": {"endCursor": str(start + len(page)), "hasNextPage": start + size < len(found)},
            },
        }

    def _upserted(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        project = asked.get("project") or "uncategorized"
        is_new = (project, asked["name"]) not in self.runs
        run = self._run(project, asked["name"])
        for key, name in (("displayName", "name"), ("groupName", "group"), ("jobType", "job_type"), ("notes", "notes"),
                          ("tags", "tags"), ("commit", "commit")):  # fmt: skip
            if asked.get(key) is not None:
                setattr(run, name, asked[key])
        if asked.get("config"):
            run.config |= {key: value["value"] for key, value in json.loads(asked["config"]).items()}
        if asked.get("summaryMetrics"):
            run.summary = json.loads(asked["summaryMetrics"])
        named = {
            "id": run.id,
            "projectId": 1,
            "name": run.id,
            "displayName": run.name,
            "notes": run.notes,
            "sweepName": None,
        }
        told = {
            "description": None,
            "config": None,
            "historyLineCount": len(run.history),
            "project": self._project(project),
        }
        return {"inserted": is_new, "bucket": named | told}

    def _project(self, name: str) -> dict[str, Any]:
        return {"id": "UHJvamVjdDox", "internalId": "1", "name": name, "entity": {"id": "RW50aXR5OjE=", "name": ENTITY}}

    def _resumed(self, run: ServerRun) -> dict[str, Any]:
        tail = json.dumps([json.dumps(row) for row in run.history[-1:]])
        counts = {"eventsLineCount": 0, "logLineCount": 0}
        return run.node(run.project) | counts | {"historyTail": tail, "eventsTail": "[]", "wandbConfig": '{"t": 1}'}

    def _file_stream(self, run: ServerRun, sent: Mapping[str, Any]) -> None:
        run.heartbeat_at = self.now
        for name, part in (sent.get("files") or {}).items():
            lines, offset = part.get("content") or [], part.get("offset", 0)
            if name == "wandb-history.jsonl":
                run.history[offset : offset + len(lines)] = [json.loads(line) for line in lines]
            elif name == "wandb-summary.json":
                run.summary = json.loads(lines[-1])
            elif name == "output.log":
                run.console[offset:] = lines
        if sent.get("complete"):
            run.state = "failed" if sent.get("exitcode") else "finished"

    def _run(self, project: str, run_id: str) -> ServerRun:
        self.projects.add(project)
        return self.runs.setdefault(
            (project, run_id), ServerRun(project, run_id, created_at=self.now, heartbeat_at=self.now)
        )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _send(request: BaseHTTPRequestHandler, status: int, told: Any, headers: Mapping[str, str]) -> None:
    body = json.dumps(told).encode()
    request.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
