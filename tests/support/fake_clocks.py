"""FakeClocks: the clocks of a process, set by a test. They need Linux and a C compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")
_OFFSETS = struct.Struct("3d")


def skip_reason() -> str | None:
    """Return why a test cannot set clocks here; None if it can."""
    if not sys.platform.startswith("linux"):
        return "only Linux has CLOCK_BOOTTIME"
    return None if shutil.which("cc") else "no C compiler here"


class FakeClocks:
    """Clocks for a process that is started with ``environment``."""

    def __init__(self, directory: Path) -> None:
        library = directory / "fake_clocks.so"
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-lm"]
        subprocess.run(command, check=True)
        self._file = directory / "clocks"
        self._wall = self._monotonic = self._boot = 0.0
        self._write()
        self.environment = {"LD_PRELOAD": str(library), "FAKE_CLOCKS": str(self._file)}

    def set_wall_clock(self, seconds: float) -> None:
        """Set the wall clock ahead, or back by a negative number."""
        self._wall += seconds
        self._write()

    def sleep(self, seconds: float) -> None:
        """Let time pass as in a suspend: the monotonic clock stands still."""
        self._wall += seconds
        self._boot += seconds
        self._write()

    def _write(self) -> None:
        data = _OFFSETS.pack(self._wall, self._monotonic, self._boot)
        if not self._file.exists():
            self._file.write_bytes(data)
        with self._file.open("r+b") as file:  # the process has it mapped
            file.write(data)
