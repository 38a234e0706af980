"""A chat by keys, on asyncio: whoever knows a room's name reads along and writes.

    python chat.py alice garden

With a node on port 8001 (``kademlua node 8001``), or another one: ``--bootstrap HOST:PORT``.
Lines come from standard input; its end is the end.

A room is a key. Each who is in it keeps one value there: a name, and the lines said last. Who
reads sees the values of all. Nobody proves a name: it is a chat among friends.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

import kademlua

KEPT = 10
"""Lines of each that stay to be read."""
LONGEST = 200
"""Characters of a line."""
PAUSE = 0.5
"""Seconds between two looks at the room."""

Line = tuple[int, str, str]
"""When it was said (Unix time, ms), by whom, and what."""


class Room:
    """A room, for one who is in it."""

    def __init__(self, node: kademlua.AsyncNode, room: str, name: str) -> None:
        self._node = node
        self._key = kademlua.sha1(f"chat: {room}")
        self._name = name
        self._said: list[tuple[int, str]] = []
        self._seen: dict[str, int] = {name: sys.maxsize}  # nobody needs to read their own

    async def say(self, text: str) -> None:
        """Keep a line where the others look."""
        latest = self._said[-1][0] if self._said else 0
        when = max(int(time.time() * 1000), latest + 1)  # no two at once: who reads goes by it
        self._said = [*self._said, (when, text[:LONGEST])][-KEPT:]
        await self._node.add(self._key, {"name": self._name, "lines": self._said})

    async def news(self) -> list[Line]:
        """What the others said since the last look, in the order of time."""
        lines: set[Line] = set()
        for answer in await self._node.find_value(self._key):
            for value in answer.values:
                lines.update(lines_of(value))
        fresh = [line for line in sorted(lines) if line[0] > self._seen.get(line[1], 0)]
        for when, name, _ in fresh:
            self._seen[name] = when
        return fresh


def lines_of(value: Any) -> Iterator[Line]:
    """The lines in a value. Anybody may have written it: what is none is passed over."""
    match value:
        case {b"name": bytes(name), b"lines": list(lines)}:
            for line in lines[-KEPT:]:
                match line:
                    case [int(when), bytes(text)]:
                        yield when, shown(name), shown(text)


def shown(text: bytes) -> str:
    """Text of a stranger, without what could play tricks on a terminal."""
    return "".join(char for char in text.decode(errors="replace")[:LONGEST] if char.isprintable())


async def listen(room: Room) -> None:
    """Print what the others say."""
    while True:
        try:
            for _, name, text in await room.news():
                print(f"{name}: {text}", flush=True)
        except kademlua.KademluaError as error:
            print(f"cannot hear: {error}", file=sys.stderr)
        await asyncio.sleep(PAUSE)


async def chat(bootstrap: tuple[str, int], name: str, room_name: str) -> None:
    """Be in a room until standard input ends."""
    typed = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(typed), sys.stdin
    )
    async with kademlua.AsyncNode(bootstrap=[bootstrap]) as node:
        if not node.joined:
            raise SystemExit("nobody answers there")
        room = Room(node, room_name, name)
        print(f"You are in the {room_name}; ^D leaves.", flush=True)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen(room))
            while line := await typed.readline():
                try:
                    await room.say(line.decode(errors="replace").rstrip("\n"))
                except kademlua.KademluaError as error:
                    print(f"nobody heard that: {error}", file=sys.stderr)
            listening.cancel()  # a find that is under way ends with it


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A chat by keys.")
    parser.add_argument("name")
    parser.add_argument("room")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", default="127.0.0.1:8001")
    asked = parser.parse_args()
    host, _, port = asked.bootstrap.rpartition(":")
    try:
        asyncio.run(chat((host, int(port)), asked.name, asked.room))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
