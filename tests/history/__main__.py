"""Check the node's promises about acknowledged data under random faults.

    python -m tests.history --seeds 1000
    python -m tests.history --first 17 --seeds 1      repeats the run of seed 17
    python -m tests.history --processes --minutes 60  real processes, killed with SIGKILL

Each run on virtual time lasts 50 virtual minutes, in two or three seconds. Exit status 1: a promise
was broken, or a rule was never checked.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from kademlua.cli.signals import exit_on_signals
from tests.history import run_processes, run_virtual
from tests.history.model import History
from tests.history.report import describe
from tests.history.rules import RULES, Bounds, Rules, Verdict

_MAX_DESCRIBED = 3
"""Violations of one seed that are described."""


def check_history(history: History, bounds: Bounds, seed: int) -> Verdict:
    """Check a history, and describe its first violations."""
    verdict = Rules(history, bounds).check()
    for each in verdict.violations[:_MAX_DESCRIBED]:
        print(f"\nseed {seed}: {describe(each, history)}", flush=True)
    return verdict


def check_seeds(first: int, count: int) -> tuple[Counter[str], Counter[str], Counter[int]]:
    """Run seeds, and print each violation; return checks and violations by rule, and by seed."""
    checked: Counter[str] = Counter()
    violated: Counter[str] = Counter()
    by_seed: Counter[int] = Counter()
    for seed in range(first, first + count):
        verdict = check_history(run_virtual.run(seed), run_virtual.BOUNDS, seed)
        checked += verdict.checked
        violated.update(each.rule for each in verdict.violations)
        by_seed[seed] = len(verdict.violations)
        if sys.stderr.isatty():
            done = f"{seed - first + 1} of {count} seeds, {sum(violated.values())} violations"
            print(f"\r{done}", end="", file=sys.stderr, flush=True)
    return checked, violated, +by_seed


def main() -> None:
    """Run the checker."""
    parser = argparse.ArgumentParser(
        "python -m tests.history",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=100, help="number of runs, default 100")
    parser.add_argument("--first", type=int, default=1, help="the first seed, default 1")
    parser.add_argument("--processes", action="store_true", help="run processes in real time")
    parser.add_argument("--minutes", type=float, default=10, help="of processes, default 10")
    args = parser.parse_args()
    if args.processes:
        history = run_processes.run(args.first, 60 * args.minutes)
        verdict = check_history(history, run_processes.BOUNDS, args.first)
        checked, violated = verdict.checked, Counter(each.rule for each in verdict.violations)
        by_seed = +Counter({args.first: len(verdict.violations)})
    else:
        checked, violated, by_seed = check_seeds(args.first, args.seeds)
    print(f"\n{'rule':12} {'checked':>12} {'violations':>12}")
    for rule in RULES:
        print(f"{rule:12} {checked[rule]:12,} {violated[rule]:12,}")
    if by_seed:
        print(f"seeds with violations: {', '.join(map(str, by_seed))}")
    raise SystemExit(1 if violated or not all(checked[rule] for rule in RULES) else 0)


if __name__ == "__main__":
    with exit_on_signals():
        main()
