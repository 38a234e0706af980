"""A shared folder with a stable name, in a plain program without gevent.

    python shared_folder.py share PHOTOS my.key
    python shared_folder.py fetch PUBLIC_KEY COPY

It joins through a node on port 8001 (``kademlua node 8001``), or at ``--bootstrap HOST:PORT``.

Each file is an object. So is the list of the files, with their keys. A signed record names the
latest list: the public key in it is the name of the folder, and never changes. Who fetches the
folder needs to trust only the holder of the key file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import kademlua

Files = dict[str, str]
"""The key of each file in hex, by its path in the folder."""
MAX_LIST_BYTES = 10_000_000
PART_BYTES = 1_000_000


class SharedFolder:
    """A folder that this program publishes."""

    def __init__(
        self, node: kademlua.ThreadedNode, path: Path, signer: kademlua.SigningKey, ttl: float
    ) -> None:
        self._node = node
        self._path = path
        self._signer = signer
        self._ttl = ttl
        self._stamps: dict[str, tuple[int, int]] = {}
        self._files: Files = {}
        self._list_key = b""
        self._named_at = 0.0

    def update(self) -> bool:
        """Publish what has changed, and return whether anything has."""
        stamps = {name: _stamp(self._path / name) for name in names_in(self._path)}
        is_changed = stamps != self._stamps or not self._list_key
        if is_changed:
            self._publish(stamps)
        if is_changed or time.monotonic() - self._named_at > self._ttl / 2:  # or it would expire
            self._node.name_object(self._list_key, self._signer, ttl=self._ttl)
            self._named_at = time.monotonic()
        return is_changed

    def _publish(self, stamps: dict[str, tuple[int, int]]) -> None:
        files = {}
        for name, stamp in stamps.items():
            if self._stamps.get(name) == stamp:
                files[name] = self._files[name]
                continue
            with (self._path / name).open("rb") as file:
                files[name] = self._node.put_object(file, ttl=self._ttl, publish=True).hex()
        listed = json.dumps(files, sort_keys=True).encode()
        list_key = self._node.put_object(listed, ttl=self._ttl, publish=True)
        former = {bytes.fromhex(key) for key in self._files.values()} | {self._list_key}
        current = {bytes.fromhex(key) for key in files.values()} | {list_key, b""}
        for key in former - current:  # it expires; blocks that other files share stay
            self._node.unpublish_object(key)
        self._stamps, self._files, self._list_key = stamps, files, list_key


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def names_in(folder: Path) -> list[str]:
    """Return the paths of the files in a folder, relative to it, without hidden ones."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if is_safe(str(path)))


def is_safe(name: str) -> bool:
    """Return whether a path stays in its folder, and is not hidden."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not any(part.startswith((".", "/")) for part in parts)


def fetch(node: kademlua.ThreadedNode, public_key: bytes, folder: Path) -> Iterator[str]:
    """Copy a shared folder, and yield the names of the files that were read.

    Files that are the same already are not read. Files that are not shared stay.
    """
    with node.open_object(node.find_named_object(public_key)) as listed:
        if listed.size > MAX_LIST_BYTES:
            raise SystemExit("the list of the files is too long")
        files: Files = json.loads(listed.read())
    for name, key in files.items():
        if not is_safe(name):
            raise SystemExit(f"the folder has a file outside of it: {name!r}")
        if fetch_file(node, bytes.fromhex(key), folder / name):
            yield name


def fetch_file(node: kademlua.ThreadedNode, key: bytes, path: Path) -> bool:
    """Copy a file unless it is the same already, and return whether it was copied."""
    with node.open_object(key) as reader:
        if path.is_file() and path.stat().st_size == reader.size and _is_same(reader, path):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        reader.seek(0)
        with partial.open("wb") as file:
            while part := reader.read(PART_BYTES):
                file.write(part)
        partial.replace(path)
        return True


def _is_same(reader: Any, path: Path) -> bool:
    """Return whether a file has the content of an object; only its keys are read for that."""
    with path.open("rb") as file:
        for offset in range(0, reader.size, reader.block_bytes):
            reader.seek(offset)
            if not reader.has_block(file.read(reader.block_bytes)):
                return False
    return True


def share_until_interrupted(folder: SharedFolder, public_key: bytes, poll: float) -> None:
    """Publish a folder and its changes until ^C."""
    try:
        while True:
            if folder.update():
                print(f"shared as {public_key.hex()}", flush=True)
            time.sleep(poll)
    except KeyboardInterrupt:
        pass


def main() -> None:
    """Parse the command line and run a command."""
    parser = argparse.ArgumentParser(description="A shared folder with a stable name.")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", default="127.0.0.1:8001")
    parser.add_argument("--ttl", type=float, default=3600.0, metavar="SECONDS")
    parser.add_argument("--poll", type=float, default=5.0, metavar="SECONDS")
    commands = parser.add_subparsers(dest="command", required=True)
    share = commands.add_parser("share")
    share.add_argument("folder", type=Path)
    share.add_argument("key_file")
    fetching = commands.add_parser("fetch")
    fetching.add_argument("public_key", type=bytes.fromhex)
    fetching.add_argument("folder", type=Path)
    options = parser.parse_args()

    host, _, port = options.bootstrap.rpartition(":")
    read_only = options.command == "fetch"  # runs too briefly to serve other nodes
    with kademlua.ThreadedNode(bootstrap=[(host, int(port))], read_only=read_only) as node:
        if not node.joined:
            raise SystemExit(f"no node answers at {options.bootstrap}; start one there")
        try:
            if options.command == "share":
                signer = kademlua.SigningKey.load(options.key_file)
                folder = SharedFolder(node, options.folder, signer, options.ttl)
                share_until_interrupted(folder, signer.public_key, options.poll)
            else:
                for name in fetch(node, options.public_key, options.folder):
                    print(name)
        except kademlua.KademluaError as error:
            raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
