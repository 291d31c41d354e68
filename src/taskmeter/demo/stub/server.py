"""The stub provider: a local HTTP server with real sockets and one thread per connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Final, Self

from taskmeter.demo.stub.connection import Connection, error_body, hang_up
from taskmeter.demo.stub.handlers import as_reply, succeed
from taskmeter.demo.stub.wire import Handler, Json, Reply, Request

_POLL_SECONDS: Final = 0.02


class StubProvider:
    """A local provider that speaks OpenAI's and Anthropic's protocols: `with StubProvider(handler) as stub:`.

    Point clients at it: `OpenAI(base_url=f"{stub.url}/v1")`, `Anthropic(base_url=stub.url)`. When the handler
    raises, the client gets a 400 that says so and is not retried, and leaving the block raises the handler's error
    unless another is on its way.
    """

    def __init__(self, handler: Handler = succeed) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._faults: list[Exception] = []
        self._server = _Server(self._answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="stub-provider", daemon=True
        )

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in the order of arrival."""
        with self._lock:
            return tuple(self._requests)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()
        if self._faults and fault is None:
            raise self._faults[0]

    def _answer(self, request: Request) -> Reply:
        with self._lock:
            self._requests.append(request)
        try:
            return as_reply(request, self._handler(request))
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is raised when the block is left
            with self._lock:
                self._faults.append(fault)
            message = f"the stub's handler failed: {fault!r}"
            return Json(error_body(request, 400, message), 400, {"x-should-retry": "false"})


class _Server(TCPServer):
    # Not `http.server`'s own classes: they ask the name service for this host's name, which can take seconds.
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.answer = answer
        self.closing = threading.Event()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Gives the connection a thread, on record, so that `stop` can end it even when it is idle."""
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="stub-connection", daemon=True
        )
        with self._lock:
            self._open[thread] = request
        thread.start()

    def stop(self) -> None:
        """Stops listening, ends every open connection and waits for their threads."""
        self.closing.set()
        self.shutdown()
        with self._lock:
            threads = list(self._open)
            for connection in self._open.values():
                hang_up(connection)
        for thread in threads:
            thread.join()
        self.server_close()

    def _serve(self, connection: socket.socket, client_address: Any) -> None:
        try:
            # A client may go away at any time: it closes a stream early, it times out.
            with contextlib.suppress(ConnectionError):
                self.finish_request(connection, client_address)
        finally:
            with self._lock:
                del self._open[threading.current_thread()]
            self.shutdown_request(connection)
