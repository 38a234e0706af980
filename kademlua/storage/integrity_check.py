"""The check of LMDB files that changed since the last clean shutdown.

LMDB trusts its pages: a damaged one may crash the process that reads it. A file that differs from
the state at the last clean shutdown is therefore read by a separate process first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from signal import SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV

from kademlua.storage.durable_files import sync_directory
from kademlua.storage.row_format import FORMAT_KEY

logger = logging.getLogger(__name__)

_CHECK_TIMEOUT = 2.0
"""Seconds for the check of a file; the rest of a larger file is not checked."""
_EXIT_CORRUPT = 4
_CRASHES = frozenset({-SIGSEGV, -SIGBUS, -SIGABRT, -SIGILL, -SIGFPE})
"""The ends of a process that read an invalid page."""
# Rows and a compacting copy together visit each page of each tree. An error of the system, such as
# lack of memory, says nothing of the file.
_CHECK_SCRIPT = f"""
import os, sys
import lmdb
system_errors = (lmdb.MemoryError, lmdb.ReadonlyError, lmdb.LockError, lmdb.DiskError)
try:
    env = lmdb.open(sys.argv[1], subdir=False, lock=False, readonly=True, max_dbs=8)
    with env.begin() as txn:
        for name in list(txn.cursor().iternext(values=False)):
            if name != b"{FORMAT_KEY.decode()}":
                database = env.open_db(name, txn=txn, create=False)
                for _ in txn.cursor(database):
                    pass
    with open(os.devnull, "wb") as sink:
        env.copyfd(sink.fileno(), compact=True)
except lmdb.Error as error:
    if isinstance(error, system_errors) or type(error) is lmdb.Error:
        raise
    print(error, file=sys.stderr)
    sys.exit({_EXIT_CORRUPT})
"""


def find_corruption(path: Path) -> str | None:
    """Read a file in a separate process; return a description of its damage, or None."""
    command = [sys.executable, "-I", "-c", _CHECK_SCRIPT, str(path)]
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_CHECK_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        logger.info("%s is large; not all of it was checked", path)
        return None
    except OSError:  # no process can be started: rely on LMDB
        return None
    if process.returncode in _CRASHES:
        return "its pages are invalid"
    lines = process.stderr.decode(errors="replace").strip().splitlines() or [""]
    if process.returncode == _EXIT_CORRUPT:
        return lines[-1].rpartition(": ")[2]
    if process.returncode:
        logger.info("%s could not be checked: %s", path, lines[-1] or process.returncode)
    return None


def write_clean_marker(marker: Path, paths: Iterable[Path]) -> None:
    """Record the state of files at a clean shutdown."""
    files = {path.name: mark for path in paths if (mark := _fingerprint(path)) is not None}
    try:
        marker.write_text(json.dumps({"version": 1, "files": files}) + "\n")
    except OSError:  # a full disk: the next start checks the files
        pass


def consume_clean_marker(marker: Path) -> dict[str, object]:
    """Return the recorded state, and delete it: it is valid for one start."""
    try:
        text = marker.read_text()
        marker.unlink()
        sync_directory(marker.parent)  # or it would be there again after a power failure
        files = json.loads(text)["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return files if isinstance(files, dict) else {}


def is_clean(path: Path, clean_files: dict[str, object]) -> bool:
    """Return whether a file is new or empty, or unchanged since the clean shutdown."""
    fingerprint = _fingerprint(path)
    return fingerprint is None or fingerprint[0] == 0 or clean_files.get(path.name) == fingerprint


def record_damage(path: Path, reason: str) -> None:
    """Record for the next start that a file proved damaged while it was open."""
    with contextlib.suppress(OSError):  # the next start checks the file, as far as there is time
        _damage_record(path).write_text(reason)


def take_recorded_damage(path: Path) -> str | None:
    """Return what ``record_damage`` recorded, and delete it; None if there is nothing."""
    record = _damage_record(path)
    try:
        reason = record.read_text(errors="replace")
        record.unlink()
    except OSError:
        return None
    return reason.rpartition(": ")[2]


def _damage_record(path: Path) -> Path:
    return path.with_name(f"{path.name}.damage")


def _fingerprint(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
