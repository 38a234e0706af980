"""A chat by keys, on asyncio: every user who knows a room's name reads and writes there.

    python chat.py alice garden

It joins through a node on port 8001 (``kademlua node 8001``), or at ``--bootstrap HOST:PORT``.
It sends the lines of standard input, and ends with it.

A room is a key. Each user stores one value there: a name, and the latest lines. A reader finds
the values of all users. Names are not authenticated: it is a chat among friends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any

import kademlua

MAX_LINES = 10
"""Lines of each user that can be read."""
MAX_LENGTH = 200
"""Characters of a line."""
POLL_INTERVAL = 0.5
"""Seconds between two reads of the room."""

Line = tuple[int, str, str]
"""Time of the line (Unix time, ms), name of the user, text."""


class Room:
    """A room, as one user sees it."""

    def __init__(self, node: kademlua.AsyncNode, room: str, name: str) -> None:
        self._node = node
        self._key = kademlua.sha1(f"chat: {room}")
        self._name = name
        self._said: list[tuple[int, str]] = []
        self._seen: dict[str, int] = {name: sys.maxsize}  # skip the user's own lines

    async def say(self, text: str) -> None:
        """Store a line in the room."""
        latest = self._said[-1][0] if self._said else 0
        when = max(int(time.time() * 1000), latest + 1)  # readers order by time
        self._said = [*self._said, (when, text[:MAX_LENGTH])][-MAX_LINES:]
        await self._node.add(self._key, {"name": self._name, "lines": self._said})

    async def news(self) -> list[Line]:
        """Return the other users' new lines, in order of time."""
        lines: set[Line] = set()
        for answer in await self._node.find_value(self._key):
            for value in answer.values:
                lines.update(lines_of(value))
        fresh = [line for line in sorted(lines) if line[0] > self._seen.get(line[1], 0)]
        for when, name, _ in fresh:
            self._seen[name] = when
        return fresh


def lines_of(value: Any) -> Iterator[Line]:
    """Yield the lines in a value. Any node may have written it: skip what is malformed."""
    match value:
        case {b"name": bytes(name), b"lines": list(lines)}:
            for line in lines[-MAX_LINES:]:
                match line:
                    case [int(when), bytes(text)]:
                        yield when, printable(name), printable(text)


def printable(text: bytes) -> str:
    """Return untrusted text without control characters for the terminal."""
    return "".join(
        char for char in text.decode(errors="replace")[:MAX_LENGTH] if char.isprintable()
    )


async def listen(room: Room) -> None:
    """Print the lines of other users."""
    while True:
        try:
            for _, name, text in await room.news():
                print(f"{name}: {text}", flush=True)
        except kademlua.KademluaError as error:
            print(f"reading the room failed: {error}", file=sys.stderr)
        await asyncio.sleep(POLL_INTERVAL)


async def open_input() -> asyncio.StreamReader:
    """Return a reader of standard input: a terminal, a pipe, a socket or a file."""
    typed = asyncio.StreamReader()
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if sys.stdin.isatty() or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(typed), sys.stdin
        )
    else:  # a file or /dev/null, which no event loop watches
        typed.feed_data(sys.stdin.buffer.read())
        typed.feed_eof()
    return typed


async def chat(bootstrap: tuple[str, int], name: str, room_name: str) -> None:
    """Join a room until standard input ends."""
    typed = await open_input()
    async with kademlua.AsyncNode(bootstrap=[bootstrap]) as node:
        if not node.joined:
            raise SystemExit(f"no node answers at {bootstrap[0]}:{bootstrap[1]}; start one there")
        room = Room(node, room_name, name)
        print(f"You are in the {room_name}; ^D leaves.", flush=True)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen(room))
            while line := await typed.readline():
                try:
                    await room.say(line.decode(errors="replace").rstrip("\n"))
                except kademlua.KademluaError as error:
                    print(f"the line was not stored: {error}", file=sys.stderr)
            listening.cancel()  # this ends a find in progress, too


def main() -> None:
    """Parse the command line and run the chat."""
    parser = argparse.ArgumentParser(description="A chat by keys.")
    parser.add_argument("name")
    parser.add_argument("room")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", default="127.0.0.1:8001")
    options = parser.parse_args()
    host, _, port = options.bootstrap.rpartition(":")
    try:
        asyncio.run(chat((host, int(port)), options.name, options.room))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
