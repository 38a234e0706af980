"""The search: random plans, and mutations of the best."""

from __future__ import annotations

import gc
import random
import sys
from bisect import insort
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.security import gate, target
from tests.security.gate import Rule
from tests.security.plans import SENT_ACTIONS, USER_ACTIONS, Plan, PlanMaker

MAX_FACTOR = 3.0
"""Bytes that unvalidated endpoints may cause for each byte that they send."""
_POPULATION = 24
_RANDOM_SHARE = 0.4


@dataclass(slots=True)
class Result:
    """What a search found."""

    plan_count: int = 0
    best_score: float = 0.0
    best_plan: Plan | None = None
    broken: Counter[Rule] = field(default_factory=Counter)
    """Plans that broke each rule of the outgoing gate."""
    examples: dict[Rule, Plan] = field(default_factory=dict)
    """The first plan that broke each rule."""

    def add(self, other: Result) -> None:
        """Add the result of another search."""
        self.plan_count += other.plan_count
        self.broken += other.broken
        self.examples = other.examples | self.examples
        if self.best_plan is None or other.best_score > self.best_score:
            self.best_score, self.best_plan = other.best_score, other.best_plan


def amplification(plan: Plan) -> float:
    """Return the bytes that a plan from unvalidated endpoints causes for each byte."""
    trace = target.run(plan)
    if not trace.attacker_bytes:
        return 0.0
    return target.caused_bytes(plan, trace) / trace.attacker_bytes


def search_unvalidated(
    count: int, seed: int, on_plan: Callable[[Result], None] | None = None
) -> Result:
    """Try ``count`` plans from endpoints that are never validated, for the highest factor."""
    return _search(count, PlanMaker(random.Random(seed), SENT_ACTIONS), _score_factor, on_plan)


def search_validated(
    count: int, seed: int, on_plan: Callable[[Result], None] | None = None
) -> Result:
    """Try ``count`` plans of validated peers, for the most bytes against the outgoing gate."""
    maker = PlanMaker(random.Random(seed), SENT_ACTIONS + USER_ACTIONS)
    return _search(count, maker, _score_gate, on_plan)


def search_in_processes(count: int, seed: int, workers: int, *, is_validated: bool) -> Result:
    """Search in several processes, each with a seed of its own; return all results as one."""
    total = Result()
    share = -(-count // workers)
    # Frozen, because the search for remaining greenlets after each plan scans all other objects.
    with ProcessPoolExecutor(workers, get_context("spawn"), gc.freeze) as executor:
        futures = [
            executor.submit(_search_alone, share, seed + number, is_validated=is_validated)
            for number in range(workers)
        ]
        for future in futures:
            total.add(future.result())
    return total


def _search_alone(count: int, seed: int, *, is_validated: bool) -> Result:
    search = search_validated if is_validated else search_unvalidated
    return search(count, seed, _show_progress if sys.stderr.isatty() else None)


def _show_progress(result: Result) -> None:
    done = f"{result.plan_count:,} plans, at most {result.best_score:,.2f}"
    print(f"\r{done}", end="", file=sys.stderr, flush=True)


def _score_factor(plan: Plan, result: Result) -> float:
    return amplification(plan)


def _score_gate(plan: Plan, result: Result) -> float:
    found = gate.violations(target.run(plan, is_validated=True))
    for rule in {each.rule for each in found}:
        result.broken[rule] += 1
        result.examples.setdefault(rule, plan)
    return float(sum(len(each.datagram.data) for each in found))


def _search(
    count: int,
    maker: PlanMaker,
    score: Callable[[Plan, Result], float],
    on_plan: Callable[[Result], None] | None,
) -> Result:
    """Hill climbing: a plan that is better than the worst of the population replaces it."""
    result = Result()
    population: list[tuple[float, int, Plan]] = []
    for number in range(count):
        plan = maker.next_plan([each for _, _, each in population], _RANDOM_SHARE)
        points = score(plan, result)
        result.plan_count += 1
        if points > result.best_score or result.best_plan is None:
            result.best_score, result.best_plan = points, plan
        insort(population, (points, number, plan))  # of equal ones, the newer is better
        del population[:-_POPULATION]
        if on_plan is not None:
            on_plan(result)
    return result
