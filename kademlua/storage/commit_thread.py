"""Running the part of a commit that waits for the disk, in a thread or at once."""

from __future__ import annotations

from collections.abc import Callable

import gevent


def commit_in_thread(commit: Callable[[], None]) -> None:
    """Commit in a thread, while other greenlets run."""
    # gevent prints an exception that leaves the thread, although it also raises it here.
    error = gevent.get_hub().threadpool.apply(_failure_of, (commit,))
    if error is not None:
        raise error


def _failure_of(commit: Callable[[], None]) -> Exception | None:
    try:
        commit()
    except Exception as error:
        return error
    return None


def commit_inline(commit: Callable[[], None]) -> None:
    """Commit at once; all greenlets wait."""
    commit()
