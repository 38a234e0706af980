"""A node that runs until it is told to end, with or without its shell."""

from __future__ import annotations

import logging
import signal
from types import FrameType, TracebackType
from typing import Any

import gevent
from gevent.event import Event

from kademlua.node import Node
from kademlua.shell.session import Shell

logger = logging.getLogger(__name__)


class Serving:
    """While entered, ^C, SIGTERM and the terminal's end make ``wait`` return; at the exit the
    node is closed.

    A ^C while the shell of a terminal does a command ends that command only. A second ^C or
    SIGTERM ends the node without handing over what it holds.
    """

    # By Python's signals, not gevent's: those wait for the hub, to which an expression that
    # never ends does not come back.

    def __init__(self, node: Node) -> None:
        self._node = node
        self._shell: Shell | None = None
        self._ended = Event()
        self._is_closing = False
        self._loop = gevent.get_hub().loop
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Serving:
        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._end}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # no nohup
            handlers[signal.SIGHUP] = self._end
        self._former = {number: signal.signal(number, do) for number, do in handlers.items()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closing = True
        self._node.close()
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def wait(self, shell: Shell | None) -> None:
        """Block until the end, and let a shell run meanwhile; its user may end it, too."""
        if shell is None:
            self._ended.wait()
            return
        self._shell = shell
        runner = gevent.spawn(self._converse, shell)
        try:
            self._ended.wait()
        finally:
            runner.kill()
            shell.close()

    def _converse(self, shell: Shell) -> None:
        try:
            ends = shell.run()
        except Exception:
            logger.exception("the shell broke down")
            ends = shell.interactive
        if ends:
            self._ended.set()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.run_callback_threadsafe(self._hurry if self._is_closing else self._ended.set)
        if self._shell is not None:
            self._shell.interrupt()

    def _hurry(self) -> None:
        self._node.close(hand_over=False)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        shell = self._shell
        if shell is None or not shell.interactive or not shell.interrupt():
            self._end(number, frame)
