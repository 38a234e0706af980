"""PageDamage: damaged pages of an open file, found while it is used.

LMDB reads a page when it needs it, so a page may prove damaged long after the file was opened.
"""

from __future__ import annotations

import logging
from types import TracebackType

import lmdb

from kademlua.runtime.safe_logger import SafeLogger
from kademlua.storage.integrity_check import record_damage
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_errors import DAMAGE_ERRORS, FILE_DAMAGED

logger = SafeLogger(logging.getLogger(__name__))


class PageDamage:
    """The damage of one file. As a context manager, it ends a block that reads a damaged page.

    The file is not used any more then: beyond the pages that it refuses, LMDB ends the process if
    a cursor moves to a damaged one.
    """

    def __init__(self, environment: LmdbEnvironment) -> None:
        self._environment = environment
        self.reason: str | None = None
        """What is wrong with the file, for operators; None if no damage was found."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> bool:
        if self.reason is not None:
            return isinstance(error, lmdb.Error)  # the file is not used any more
        if not isinstance(error, DAMAGE_ERRORS):
            return False
        self.record(str(error))
        return True

    def record(self, error: str) -> None:
        """Stop using the file; the next start moves it aside."""
        if self.reason is None:
            path = self._environment.path
            self.reason = f"{path.name} is damaged; restart the node to replace it"
            logger.error(
                "%s: %s (%s); values are neither read nor stored until the node is restarted",
                path,
                FILE_DAMAGED,
                error,
            )
            self._environment.abandon()
            record_damage(path, error)
