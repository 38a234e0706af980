"""Search for weaknesses, and attack nodes on real sockets.

    python -m tests.security search --plans 30000     from unvalidated endpoints
    python -m tests.security search --validated       by peers that answer their pings
    python -m tests.security search --save worst.json
    python -m tests.security replay worst.json        the packets of that plan
    python -m tests.security attacks                  honest finds and memory during each attack
    python -m tests.security attacks leaves stores --seconds 10 --json

Exit status 1: something exceeds its limit.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kademlua.cli.signals import exit_on_signals
from tests.security import plans
from tests.security.attacks.measuring import NAMES, Figures, as_json, as_table, measure
from tests.security.report import describe
from tests.security.search import MAX_FACTOR, search_in_processes


def _run_search(args: argparse.Namespace) -> bool:
    result = search_in_processes(args.plans, args.seed, args.workers, is_validated=args.validated)
    assert result.best_plan is not None
    if args.save is not None:
        args.save.write_text(plans.dump(result.best_plan))
    is_broken = bool(result.broken) if args.validated else result.best_score > MAX_FACTOR
    if args.json:
        found = {
            "plans": result.plan_count,
            "best_score": result.best_score,
            "broken": {rule.name.lower(): count for rule, count in result.broken.items()},
        }
        print(json.dumps(found))
        return not is_broken
    if args.validated:
        outcome = "of these broke a rule" if result.broken else "none broke a rule"
        print(f"{result.plan_count:,} plans; {outcome} of the outgoing gate")
        for rule, count in result.broken.most_common():
            print(f"{count:8,}  {rule}")
    else:
        print(
            f"{result.plan_count:,} plans; at most {result.best_score:.3f} bytes for each byte,"
            f" permitted are {MAX_FACTOR}"
        )
    if is_broken:
        print(describe(result.best_plan, is_validated=args.validated))
    return not is_broken


def _run_replay(args: argparse.Namespace) -> bool:
    print(describe(plans.load(args.file.read_text()), is_validated=args.validated))
    return True


def _run_attacks(args: argparse.Namespace) -> bool:
    best: list[Figures] = []
    for name in args.names or NAMES:
        figures = [measure(name, args.seconds) for _ in range(args.repeat)]
        best.append(min(figures, key=lambda each: (-each.found_share, each.p99)))
        if not args.json:
            print(as_table(best[-1:]) if len(best) == 1 else as_table(best[-1:]).splitlines()[1])
    if args.json:
        print(json.dumps([as_json(each) for each in best]))
    return all(each.is_within_limits for each in best)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.security",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    search = commands.add_parser("search", help="search for plans that make a node send too much")
    search.add_argument("--plans", type=int, default=30_000, help="number of plans, default 30000")
    search.add_argument("--seed", type=int, default=1, help="the first seed, default 1")
    search.add_argument("--workers", type=int, default=2, help="processes, default 2")
    search.add_argument("--save", type=Path, metavar="FILE", help="write the worst plan there")
    search.add_argument("--json", action="store_true", help="print JSON")
    search.set_defaults(run=_run_search)
    replay = commands.add_parser("replay", help="show the packets of a plan")
    replay.add_argument("file", type=Path)
    replay.set_defaults(run=_run_replay)
    attacks = commands.add_parser("attacks", help="attack a node on real sockets")
    attacks.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    attacks.add_argument("--seconds", type=float, default=6, help="of each attack, default 6")
    attacks.add_argument("--repeat", type=int, default=1, help="runs, of which the best counts")
    attacks.add_argument("--json", action="store_true", help="print JSON")
    attacks.set_defaults(run=_run_attacks)
    for each in (search, replay):
        each.add_argument("--validated", action="store_true", help="the attacker answers pings")
    return parser


def main() -> None:
    """Run a command."""
    args = _parser().parse_args()
    raise SystemExit(0 if args.run(args) else 1)


if __name__ == "__main__":
    with exit_on_signals():
        main()
