"""Create or update the checkout's .venv; bin/_env.sh calls it when the stamp is outdated.

    python -I bin/_setup.py ROOT CHECKSUM PARTS

A kernel lock makes concurrent first uses wait, and is released if the process is killed. The
stamp says "building" during changes, so that an interrupted .venv is created again.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, NamedTuple

BUILDING = "building"
WORKS = """
import sys, pip
sys.exit(sys.version_info < (3, 11) or sys.prefix == sys.base_prefix)
"""


class Failed(Exception):
    """The setup cannot continue; the message is one line."""


class Stamp(NamedTuple):
    """The content of .venv: checksum of setup.cfg, installed parts, path of the checkout."""

    checksum: str
    parts: frozenset[str]
    root: str

    @classmethod
    def read(cls, path: Path) -> "Stamp | None":
        """Read the stamp at path; return None if it is missing or damaged."""
        try:
            checksum, parts, root = path.read_text().splitlines()
        except (OSError, ValueError):
            return None
        return cls(checksum, frozenset(parts.split()), root)

    def write(self, path: Path) -> None:
        """Write the stamp to path atomically."""
        new = path.with_suffix(".new")
        new.write_text(f"{self.checksum}\n{' '.join(sorted(self.parts))}\n{self.root}\n")
        new.replace(path)


class Environment:
    """The .venv of the checkout at root; use it with the lock held."""

    def __init__(self, root: Path, lock: IO[str]) -> None:
        self.root = root
        self.lock = lock
        self.path = root / ".venv"
        self.python = self.path / "bin" / "python"
        self.stamp = self.path / "kademlua.stamp"
        self.log = self.path / "install.log"

    def ensure(self, checksum: str, wanted: str) -> None:
        """Install the project by setup.cfg, with the wanted parts."""
        old = Stamp.read(self.stamp)
        parts = (old.parts if old else frozenset()) | {"base", *wanted.split()}
        new = Stamp(checksum, parts, str(self.root))
        works = self.works()
        if works and old == new:
            return  # another process installed it meanwhile
        building = new._replace(checksum=BUILDING)
        if works and (old is None or (old.checksum != BUILDING and old.root == new.root)):
            say(f"installing what setup.cfg asks for into {self.path} ...")
            building.write(self.stamp)
            try:
                self.install(parts)
            except Failed:  # pip has rolled back
                if old:
                    old.write(self.stamp)
                else:
                    self.stamp.unlink()
                raise
        else:
            version = ".".join(map(str, sys.version_info[:3]))
            say(f"making {self.path} with Python {version}, and installing into it ...")
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir()
            building.write(self.stamp)
            self.create()
            self.install(parts)
        new.write(self.stamp)
        say("installed")

    def works(self) -> bool:
        """Return whether the environment's Python runs, is new enough and has pip."""
        command = [str(self.python), "-I", "-c", WORKS]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def create(self) -> None:
        """Create an empty environment on the real path of the base Python: the target of a
        link may change its version."""
        # The name is venv's own; it differs from sys.executable in a virtual environment.
        base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        self.run("making the virtual environment", base, "-I", "-m", "venv", str(self.path))

    def install(self, parts: frozenset[str]) -> None:
        """Install the project, editable, with the extras among the parts."""
        extras = ",".join(sorted(parts - {"base"}))
        command = [str(self.python), "-I", "-m", "pip", "install", "--no-input"]
        command += ["--disable-pip-version-check", "-e", f".[{extras}]" if extras else "."]
        self.run("installing (is there a network?)", *command, shows_progress=True)

    def run(self, what: str, *command: str, shows_progress: bool = False) -> None:
        """Run a command, logging its output. The command inherits the lock."""
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                command,
                cwd=self.root,
                env={**os.environ, "PIP_USER": "0"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=[self.lock.fileno()],
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                log.flush()
                if shows_progress:
                    show_step(line)
        if process.returncode:
            raise Failed(f"{what} failed; see {self.log}")


def say(text: str) -> None:
    """Print one line to standard error."""
    print(f"kademlua: {text}", file=sys.stderr, flush=True)


def show_step(line: str) -> None:
    """Print what pip begins to do, if a line of its output says so."""
    word, _, rest = line.partition(" ")
    if word == "Collecting":
        say(f"  getting {rest.split(';')[0].split(' (')[0].strip()}")
    elif line.startswith("Installing collected packages"):
        say("  installing the packages ...")


def take(lock: IO[str]) -> None:
    """Wait for the lock, which the process holds until it exits."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another process is installing: waiting for it ...")
        fcntl.flock(lock, fcntl.LOCK_EX)


def main(root: Path, checksum: str, parts: str) -> int:
    """Set up; the exit status."""
    try:
        with (root / ".venv.lock").open("w") as lock:
            take(lock)
            Environment(root, lock).ensure(checksum, parts)
    except Failed as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"cannot set up {root / '.venv'}: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next use begins anew")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
