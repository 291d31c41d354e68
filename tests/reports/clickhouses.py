"""ClickHouse for tests: its engine in this process, and a server before it that speaks its HTTP interface."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

_ERROR_CODE: Final = re.compile(r"Code: (\d+)\.")


class Engine:
    """ClickHouse in this process; one at a time."""

    def __init__(self) -> None:
        session = pytest.importorskip("chdb.session")
        self._session = session.Session()
        self._lock = Lock()

    def ask(self, query: str, form: str = "TabSeparated", database: str = "default") -> bytes:
        """What it answers. Raises `RuntimeError` when it refuses."""
        with self._lock:
            self._session.query(f"USE `{database}`")
            answer: bytes = self._session.query(query, form).bytes()
        return answer

    def fetch(self, query: str) -> Iterator[bytes]:
        """As a report asks."""
        yield self.ask(query, "Parquet")

    def insert(self, query: str, rows: bytes, database: str) -> None:
        """`INSERT ... FORMAT ...`, with the rows in that format."""
        into, _, form = query.rpartition(" FORMAT ")
        with TemporaryDirectory() as directory:
            path = Path(directory) / "rows"
            path.write_bytes(rows)
            self.ask(f"{into} SELECT * FROM file('{path}', '{form.strip()}')", database=database)

    def close(self) -> None:
        self._session.close()


class Server(ThreadingHTTPServer):
    """As much of ClickHouse's HTTP interface as clickhouse-connect needs to read and clickhouse-go to write."""

    daemon_threads = True

    def __init__(self, engine: Engine) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.engine = engine
        self.statements: list[str] = []
        self.users: set[str] = set()
        """Who asked, with the password, as the header `Authorization` has it."""


@contextmanager
def serving(engine: Engine) -> Iterator[Server]:
    """A server before `engine`, until the block is left."""
    server = Server(engine)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self._body()
        options = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        query = options.get("query") or body.decode()
        form = options.get("default_format", "TabSeparated")
        database = options.get("database", "default")
        self.server.statements.append(query)
        self.server.users.add(self.headers.get("Authorization", ""))
        try:
            if query.startswith("INSERT"):
                self.server.engine.insert(query, body, database)
                return self._send(200, b"")
            if form == "Native" and int(options.get("client_protocol_version", "0")):
                answer = self.server.engine.ask(query, "JSONCompact", database)
                return self._send(200, _block(json.loads(answer)) if answer else b"")
            return self._send(200, self.server.engine.ask(query, form, database))
        except RuntimeError as error:
            code = _ERROR_CODE.search(str(error))
            return self._send(500, str(error).encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, status: int, content: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Not on the terminal."""


# A block of the format Native for a client that names its protocol, which the engine in a process does not write: flags
# of the block first, and after each column's type whether its values are laid out in a way of their own.
_BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_PLAIN: Final = b"\x00"


def _block(answer: Mapping[str, Any]) -> bytes:
    """An answer in the format JSONCompact, of columns of text and of 32 bits, as such a block."""
    columns, rows = answer["meta"], answer["data"]
    parts = [_BLOCK_INFO, _number(len(columns)), _number(len(rows))]
    for place, column in enumerate(columns):
        parts += [_text(column["name"]), _text(column["type"]), _PLAIN]
        parts += _values(column["type"], (row[place] for row in rows))
    return b"".join(parts)


def _values(column: str, values: Iterable[Any]) -> Iterable[bytes]:
    if column == "UInt32":
        return [value.to_bytes(4, "little") for value in values]
    assert column == "String", column
    return map(_text, values)


def _text(value: str) -> bytes:
    content = value.encode()
    return _number(len(content)) + content


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
