"""One connection to a control socket: requests come in, and are answered as they are done.

A request is a line ``{"id": 1, "do": "find", …}`` with the operation's fields; ``id`` is a number
or a text and comes back. The answer is ``{"id": 1, "ok": {…}}`` or ``{"id": 1, "error": "…"}``.
Operations with much to say send ``{"id": 1, "part": {…}}`` before it.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pool import Pool

from kademlua.api.fields import BadRequest, Fields
from kademlua.api.operations import Operations
from kademlua.control.json_lines import BadLine, LineStream, message_of
from kademlua.control.remote_shell import Guest
from kademlua.core.errors import KademluaError
from kademlua.node.node import Node

logger = logging.getLogger(__name__)

_IN_FLIGHT = 32
"""Requests that are worked on at once; the next line is read when one of them is done."""
_OPERATION_TIME = 60.0
_IDLE_TIME = 300.0
_LONGEST_ID = 64
_TURN = 16
"""Lines that are read before others have their turn."""
_ROWS = 64
"""Rows in one message."""

Number = int | str | None
"""The id of a request."""


class Session:
    """Serves one client until it is gone, or says what is no request at all."""

    def __init__(self, stream: LineStream, node: Node, operations: Operations) -> None:
        self._stream = stream
        self._node = node
        self._operations = operations
        self._at_work = Pool(_IN_FLIGHT)
        self._guest: Guest | None = None

    def run(self) -> None:
        """Block until the connection has ended; raises nothing."""
        try:
            self._read()
            # Who has only closed one half still reads the answers.
            if self._guest is None:
                self._at_work.join()
        except BadLine as error:  # what follows can't be told from it
            self._say(None, error=str(error))
        except OSError:
            pass
        finally:
            if self._guest is not None:
                self._guest.close()
            self._at_work.kill(block=False)
            self._stream.close()

    def break_off(self) -> None:
        """See ``ControlServer.break_off``."""
        if self._guest is not None:
            self._guest.break_off()

    def _read(self) -> None:
        for number in itertools.count():
            if number % _TURN == _TURN - 1:  # many lines may be here already
                gevent.sleep(0)
            try:
                line = self._stream.read(_IDLE_TIME)
            except TimeoutError:
                if len(self._at_work):
                    continue
                raise BadLine(f"no request for {_IDLE_TIME:.0f} s") from None
            if line is None:
                return
            if line.strip():
                self._take(line)

    def _take(self, line: bytes) -> None:
        number: Number = None
        try:
            message = message_of(line)
            number = _number(message.pop("id", None))
            name = message.pop("do", None)
            if not isinstance(name, str):
                raise BadRequest("the field 'do' names an operation")
        except (BadLine, BadRequest) as error:
            self._say(number, error=str(error))
            return
        if name in ("shell", "line", "interrupt"):  # in their order, and at once
            self._serve_guest(number, name, Fields(message))
        else:
            request = self._send_rows if self._operations.is_stream(name) else self._do
            self._at_work.spawn(self._answer, number, lambda: request(number, name, message))

    def _serve_guest(self, number: Number, name: str, fields: Fields) -> None:
        if name == "shell" and self._guest is None:
            try:
                self._guest = Guest(
                    self._node,
                    fields,
                    lambda part: self._stream.write({"id": number, "part": part}),
                )
            except BadRequest as error:
                self._say(number, error=str(error))
            else:
                self._at_work.spawn(self._answer, number, self._see_guest_off)
        else:
            self._answer(number, lambda: self._tell_guest(name, fields))

    def _do(self, _: Number, name: str, given: dict[str, Any]) -> dict[str, Any]:
        too_long = KademluaError(f"{name} took over {_OPERATION_TIME:.0f} s")
        with gevent.Timeout(_OPERATION_TIME, too_long):
            return self._operations.do(name, given)

    def _send_rows(self, number: Number, name: str, given: dict[str, Any]) -> dict[str, Any]:
        count = 0
        rows: list[dict[str, Any]] = []
        for row in self._operations.rows(name, given):
            rows.append(row)
            count += 1
            if len(rows) == _ROWS:
                self._stream.write({"id": number, "part": {"rows": rows}})
                rows = []
                gevent.sleep(0)  # others have their turn between
        if rows:
            self._stream.write({"id": number, "part": {"rows": rows}})
        return {"count": count}

    def _see_guest_off(self) -> dict[str, Any]:
        if self._guest is not None:
            self._guest.wait()
            self._guest = None
        return {}

    def _tell_guest(self, name: str, fields: Fields) -> dict[str, Any]:
        if self._guest is None:
            raise BadRequest("this connection has no shell")
        if name == "line":
            return self._guest.line(fields)
        if name == "interrupt":
            return self._guest.interrupt(fields)
        raise BadRequest("this connection has a shell already")

    def _answer(self, number: Number, request: Callable[[], dict[str, Any]]) -> None:
        """Do a request and say what came of it; raises nothing."""
        try:
            try:
                result = request()
            except KademluaError as error:
                self._say(number, error=str(error))
            except BrokenPipeError:
                pass
            except Exception as error:
                logger.exception("a request at the control socket failed")
                self._say(number, error=f"a defect of the node: {type(error).__name__}")
            else:
                self._stream.write({"id": number, "ok": result})
        except BrokenPipeError:
            pass  # the client is gone

    def _say(self, number: Number, *, error: str) -> None:
        try:
            self._stream.write({"id": number, "error": error})
        except BrokenPipeError:
            pass


def _number(given: Any) -> Number:
    """The id of a request, which comes back with its answer."""
    if given is None or (type(given) is int and given.bit_length() <= 64):
        return given
    if isinstance(given, str) and len(given) <= _LONGEST_ID:
        return given
    raise BadRequest("the field 'id' is a number or a short text")
