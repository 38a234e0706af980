"""A node with its data directory as a process of its own."""

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

ROOMY = """
max_entries = 1_000_000_000
max_stored_bytes = 1_000_000_000_000
max_bytes_per_address = 1_000_000_000_000
max_entries_per_address = 1_000_000_000
"""


class NodeProcess:
    """``kademlua node 0 --data DIR``, started, and answering."""

    def __init__(
        self,
        data: Path,
        *args: str,
        config: str = ROOMY,
        beside: Path | None = None,
        in_memory: bool = False,
    ) -> None:
        """Its configuration and log go ``beside`` the data, or into that directory."""
        beside = beside or data.parent
        toml = beside / "roomy.toml"
        toml.write_text(config)
        self.log = beside / "node.log"
        began = time.monotonic()
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
        self.seconds_to_start = time.monotonic() - began
        found = re.fullmatch(r"kademlua node ([0-9a-f]{40}) listening on ([0-9.]+):(\d+)\n", line)
        assert found is not None, line
        self.id = bytes.fromhex(found[1])
        self.endpoint: Endpoint = (found[2], int(found[3]))

    @property
    def anonymous_memory(self) -> int:
        """Bytes of its memory that no file stands behind."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def flood(self, size: int = 100) -> Flood:
        """Something that stores at full speed on it."""
        return Flood(self.endpoint, size)

    def kill(self) -> None:
        """As kill -9 does."""
        self.popen.kill()
        self._end()

    def end(self) -> int:
        """As SIGTERM does; its exit status."""
        self.popen.terminate()
        return self._end()

    def _end(self) -> int:
        status = self.popen.wait(60)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return status
