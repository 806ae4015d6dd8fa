"""A server on this machine that answers like an API, and fails on demand like one."""

import json
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Route = Callable[[dict[str, str], dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of an answer."""

    kind: str = "answer"
    status: int = 200
    answer: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def says(**answer: Any) -> Fault:
    return Fault(answer=answer)


BROKEN = Fault(status=502)
RESET = Fault("reset")
CUT_SHORT = Fault("cut short")
NO_JSON = Fault("no json")
SILENT = Fault("silent")


@dataclass
class Request:
    path: str
    query: dict[str, str]
    body: dict[str, Any]


class ApiServer:
    """Routes by path; ``faults`` by path are used up first, ``always`` never is."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self.requests: list[Request] = []
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.always: dict[str, Fault] = {}
        self._routes = routes
        self._closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # header and body in one packet, or the other side waits for the second

            def do_GET(self) -> None:
                server._answer(self, b"")

            def do_POST(self) -> None:
                server._answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                pass  # connections that were reset on purpose

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> "ApiServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        address = urlsplit(handler.path)
        request = Request(address.path, dict(parse_qsl(address.query)), json.loads(body or b"{}"))
        self.requests.append(request)
        faults = self.faults[address.path]
        fault = faults.popleft() if faults else self.always.get(address.path)
        if fault is None:
            _send(handler, 200, _dumped(self._routes[address.path](request.query, request.body)))
        elif fault.kind == "reset":
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.close_connection = True
            handler.connection.close()
        elif fault.kind == "silent":
            self._closing.wait(10)
            handler.close_connection = True
        elif fault.kind == "cut short":
            whole = _dumped(self._routes[address.path](request.query, request.body))
            _send(handler, 200, whole[: len(whole) // 2], claimed=len(whole))
            handler.close_connection = True
        elif fault.kind == "no json":
            whole = _dumped(self._routes[address.path](request.query, request.body))
            _send(handler, 200, whole[: len(whole) // 2])
        else:
            _send(handler, fault.status, _dumped(fault.answer), headers=fault.headers)


def _dumped(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer, ensure_ascii=True).encode()


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    *,
    claimed: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if claimed is None else claimed))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
