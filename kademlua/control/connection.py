"""One connection to a control socket. Replies are sent in order of completion.

A request is a line ``{"id": 1, "do": "find", …}`` with the operation's fields. The reply repeats
``id``, an integer or a string: ``{"id": 1, "ok": {…}}`` or ``{"id": 1, "error": "…"}``. Operations
with many rows send ``{"id": 1, "part": {…}}`` first.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gevent
from gevent.pool import Pool

from kademlua.api.fields import BadRequest, Fields
from kademlua.api.operations import NodeApi
from kademlua.control.json_lines import InvalidLine, JsonLineStream, parse_message
from kademlua.control.remote_shell import RemoteShell
from kademlua.core.errors import KademluaError
from kademlua.node.node import Node
from kademlua.runtime.time_slices import yield_to_hub

logger = logging.getLogger(__name__)

_MAX_CONCURRENT = 32
"""Maximum concurrent requests; the next line is read when one of them ends."""
_OPERATION_TIMEOUT = 60.0
_IDLE_TIMEOUT = 300.0
_MAX_ID_CHARS = 64
_YIELD_EVERY = 16
"""Lines read between two yields to the event loop."""
_ROWS_PER_MESSAGE = 64
"""Maximum rows in one message."""
_MESSAGE_SECONDS = 0.001
"""Seconds of collecting rows after which a message is sent: encoding it takes about as long."""

RequestId = int | str | None
"""The id of a request."""


class ControlConnection:
    """Serves one client until it disconnects or sends an invalid line."""

    def __init__(self, stream: JsonLineStream, node: Node, node_api: NodeApi) -> None:
        self._stream = stream
        self._node = node
        self._node_api = node_api
        self._workers = Pool(_MAX_CONCURRENT)
        self._remote_shell: RemoteShell | None = None

    def run(self) -> None:
        """Serve until the connection ends; raises nothing."""
        try:
            self._read_requests()
            # A client that closed only its sending half still reads replies.
            if self._remote_shell is None:
                self._workers.join()
        except InvalidLine as error:  # the start of the next message is unknown
            self._reply(None, error=str(error))
        except OSError:
            pass
        finally:
            if self._remote_shell is not None:
                self._remote_shell.close()
            self._workers.kill(block=False)
            self._stream.close()

    def interrupt(self) -> None:
        """See ``ControlServer.interrupt``."""
        if self._remote_shell is not None:
            self._remote_shell.interrupt()

    def _read_requests(self) -> None:
        for line_count in itertools.count():
            if line_count % _YIELD_EVERY == _YIELD_EVERY - 1:  # buffered lines do not block
                gevent.sleep(0)
            try:
                line = self._stream.read(_IDLE_TIMEOUT)
            except TimeoutError:
                if len(self._workers):
                    continue
                raise InvalidLine(f"no request for {_IDLE_TIMEOUT:.0f} s") from None
            if line is None:
                return
            if line.strip():
                self._dispatch(line)

    def _dispatch(self, line: bytes) -> None:
        request_id: RequestId = None
        try:
            message = parse_message(line)
            request_id = _parse_request_id(message.pop("id", None))
            name = message.pop("do", None)
            if not isinstance(name, str):
                raise BadRequest("the field 'do' names an operation")
        except (InvalidLine, BadRequest) as error:
            self._reply(request_id, error=str(error))
            return
        if name in ("shell", "line", "interrupt"):  # these must keep their order
            self._handle_shell(request_id, name, Fields(message))
        else:
            execute = self._stream_rows if self._node_api.is_stream(name) else self._call
            self._workers.spawn(
                self._execute_and_reply, request_id, lambda: execute(request_id, name, message)
            )

    def _handle_shell(self, request_id: RequestId, name: str, fields: Fields) -> None:
        if name == "shell" and self._remote_shell is None:
            try:
                self._remote_shell = RemoteShell(
                    self._node,
                    fields,
                    lambda part: self._stream.write({"id": request_id, "part": part}),
                )
            except BadRequest as error:
                self._reply(request_id, error=str(error))
            else:
                self._workers.spawn(self._execute_and_reply, request_id, self._wait_shell)
        else:
            self._execute_and_reply(request_id, lambda: self._call_shell(name, fields))

    def _call(self, _: RequestId, name: str, raw_fields: dict[str, Any]) -> dict[str, Any]:
        too_long = KademluaError(f"{name} took over {_OPERATION_TIMEOUT:.0f} s")
        with gevent.Timeout(_OPERATION_TIMEOUT, too_long):
            return self._node_api.call(name, raw_fields)

    def _stream_rows(
        self, request_id: RequestId, name: str, raw_fields: dict[str, Any]
    ) -> dict[str, Any]:
        count = 0
        rows = self._node_api.stream(name, raw_fields)
        while batch := self._take_batch(rows):
            self._stream.write({"id": request_id, "part": {"rows": batch}})
            count += len(batch)
            yield_to_hub()
        return {"count": count}

    def _take_batch(self, rows: Iterator[Any]) -> list[Any]:
        """Return the rows of the next message; none at the end."""
        started_at = self._node.now
        batch: list[Any] = []
        for row in itertools.islice(rows, _ROWS_PER_MESSAGE):
            batch.append(row)
            if self._node.now - started_at >= _MESSAGE_SECONDS:
                break
        return batch

    def _wait_shell(self) -> dict[str, Any]:
        if self._remote_shell is not None:
            self._remote_shell.wait()
            self._remote_shell = None
        return {}

    def _call_shell(self, name: str, fields: Fields) -> dict[str, Any]:
        if self._remote_shell is None:
            raise BadRequest("this connection has no shell")
        if name == "line":
            return self._remote_shell.handle_line(fields)
        if name == "interrupt":
            return self._remote_shell.handle_interrupt(fields)
        raise BadRequest("this connection has a shell already")

    def _execute_and_reply(
        self, request_id: RequestId, execute: Callable[[], dict[str, Any]]
    ) -> None:
        """Run a request and send its result or error; raises nothing."""
        try:
            result = execute()
        except KademluaError as error:
            self._reply(request_id, error=str(error))
        except BrokenPipeError:  # the client is gone
            pass
        except Exception as error:
            logger.exception("a request at the control socket failed")
            self._reply(request_id, error=f"internal error: {type(error).__name__}")
        else:
            self._reply(request_id, ok=result)

    def _reply(self, request_id: RequestId, **outcome: Any) -> None:
        """Send ``ok`` with a result, or ``error``, if the client is still there."""
        with suppress(BrokenPipeError):
            self._stream.write({"id": request_id} | outcome)


def _parse_request_id(raw: Any) -> RequestId:
    """Return the id of a request after a check of type and length."""
    if raw is None or (type(raw) is int and raw.bit_length() <= 64):
        return raw
    if isinstance(raw, str) and len(raw) <= _MAX_ID_CHARS:
        return raw
    raise BadRequest("the field 'id' is a number or a short text")
