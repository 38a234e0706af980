"""NodeProcess: a node with its data directory in a separate process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from kademlua.core.contact import Endpoint
from tests.storage.flood import Flood
from tests.support.programs import ROOT

HIGH_QUOTAS = """
max_entries = 1_000_000_000
max_stored_bytes = 1_000_000_000_000
max_bytes_per_address = 1_000_000_000_000
max_entries_per_address = 1_000_000_000
"""


class NodeProcess:
    """A running ``kademlua node 0 --data DIR``."""

    def __init__(
        self,
        data: Path,
        *args: str,
        config: str = HIGH_QUOTAS,
        files: Path | None = None,
        in_memory: bool = False,
    ) -> None:
        """Start the node; ``files`` is the directory of its configuration and log.

        By default, it is the parent of ``data``.
        """
        files = files or data.parent
        toml = files / "quotas.toml"
        toml.write_text(config)
        self.log = files / "node.log"
        started_at = time.monotonic()
        self.popen = subprocess.Popen(
            [
                *(sys.executable, "-m", "kademlua", "node", "0", "--no-shell", "--no-bootstrap"),
                *(["--memory"] if in_memory else ["--data", str(data)]),
                *("--config", str(toml), "--log-file", str(self.log), *args),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        self.seconds_to_start = time.monotonic() - started_at
        found = re.fullmatch(r"kademlua node ([0-9a-f]{40}) listening on ([0-9.]+):(\d+)\n", line)
        assert found is not None, line
        self.id = bytes.fromhex(found[1])
        self.endpoint: Endpoint = (found[2], int(found[3]))

    @property
    def anonymous_memory(self) -> int:
        """The anonymous memory of the process, in bytes."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def flood(self, size: int = 100) -> Flood:
        """Return a client that stores at full speed on the node."""
        return Flood(self.endpoint, size)

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.popen.kill()
        self._end()

    def end(self) -> int:
        """Stop the process with SIGTERM, and return its exit status."""
        self.popen.terminate()
        return self._end()

    def _end(self) -> int:
        status = self.popen.wait(60)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return status
