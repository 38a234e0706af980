"""``python -m tests.fuzz TARGET [--runs N] [--seconds N]``: fuzz a target, guided by coverage.

It takes atheris (``pip install atheris``). What it finds interesting goes into a directory of
its own (``--corpus``), begun with ``tests/fuzz/corpus/TARGET``; an input that breaks something, or
takes more than 5 ms of CPU each time, is written to the current directory, and ends it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kademlua"]):
    from tests.fuzz.targets import MAKERS, NodeTarget

CORPUS = Path(__file__).parent / "corpus"
SLOW = 0.005
"""Seconds of CPU that no input may take: by the clock, a busy machine takes them, too."""


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(MAKERS))
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=0, help="end after so long; 0: never")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="keep what is found there")
    asked = parser.parse_args()
    target = MAKERS[asked.target]()

    def one(data: bytes) -> None:
        began = time.thread_time()
        target(data)
        if time.thread_time() - began > SLOW and asked.target in ("bencoded", "node"):
            _again(data)

    def _again(data: bytes) -> None:
        """Garbage that was collected just then is not the input's fault."""
        best = SLOW
        for _ in range(5):
            began = time.thread_time()
            target(data)
            best = min(best, time.thread_time() - began)
        if best >= SLOW:
            raise TimeoutError(f"{best * 1000:.1f} ms for an input")

    with tempfile.TemporaryDirectory() as scratch:
        corpus = asked.corpus or Path(scratch)
        corpus.mkdir(exist_ok=True)
        for seed in (CORPUS / asked.target).iterdir():
            shutil.copy(seed, corpus)
        flags = [
            f"-runs={asked.runs}",
            f"-seed={asked.seed}",
            "-max_len=4096",
            "-print_final_stats=1",
        ]
        if asked.seconds:
            flags.append(f"-max_total_time={asked.seconds}")
        atheris.Setup([sys.argv[0], str(corpus), *flags], one)
        if isinstance(target, NodeTarget):
            print(target.counts)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
