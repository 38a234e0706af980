"""A small search for plans that make a node send too much; and the search itself works."""

from __future__ import annotations

import random

from tests.security import gate, plans, search, target
from tests.security.places import NODE, THIRD_PARTIES
from tests.security.plans import Action, Plan, PlanMaker, TokenChoice
from tests.security.report import describe


def plan_of(**fields: object) -> Plan:
    """Return a plan of one step; fields that are not given have harmless values."""
    harmless: dict[str, object] = {
        "action": Action.PING,
        "source": 0,
        "sender": 0,
        "rpc_id": 0,
        "key": 0,
        "count": 1,
        "skip": 0,
        "version": 1,
        "is_client": False,
        "size": 0,
        "value_bytes": 0,
        "token": TokenChoice.NONE,
        "has_owner": False,
        "named": 0,
        "named_count": 1,
        "near_bytes": 0,
        "wait": 0.0,
    }
    return Plan((plans.Step(**harmless | fields),), False)  # type: ignore[arg-type]


def test_unvalidated_endpoints_cause_at_most_three_times_their_bytes() -> None:
    result = search.search_unvalidated(300, seed=1)
    assert result.best_plan is not None
    assert result.best_score <= search.MAX_FACTOR, describe(result.best_plan, is_validated=False)
    assert result.best_score > 2  # the search comes near to the limit


def test_validated_peers_cannot_direct_a_node_at_third_parties() -> None:
    result = search.search_validated(100, seed=1)
    assert not result.broken, "\n".join(
        describe(plan, is_validated=True) for plan in result.examples.values()
    )


def test_a_plan_has_one_trace() -> None:
    maker = PlanMaker(random.Random(1), list(Action))
    for _ in range(5):
        plan = maker.random_plan()
        again = plans.load(plans.dump(plan))
        assert target.run(plan, is_validated=True) == target.run(again, is_validated=True)


def test_a_ping_causes_a_pong_and_a_ping() -> None:
    plan = plan_of(action=Action.PING, sender=3)
    trace = target.run(plan)
    assert [each.data[29] for each in trace.sent_by_node] == [129, 1]
    assert target.caused_bytes(plan, trace) == 37 + 60


def test_a_value_goes_only_to_a_validated_endpoint() -> None:
    plan = plan_of(action=Action.FINDVALUE, key=3)
    assert search.amplification(plan) < 3
    validated = target.run(plan, is_validated=True)
    assert target.caused_bytes(plan, validated) > 14_000


def test_a_value_to_a_third_party_breaks_a_rule() -> None:
    trace = target.Trace()
    payload = b"d4:argsl20:" + bytes(20) + b"500:" + bytes(500) + b"e4:name5:store1:vi1ee"
    store = bytes([1]) + bytes(28) + bytes([1]) + len(payload).to_bytes(2, "big") + payload
    trace.datagrams += [
        target.Datagram(float(number), NODE, THIRD_PARTIES[0], store) for number in range(3)
    ]
    rules = [each.rule for each in gate.violations(trace)]
    assert rules.count(gate.Rule.VALUE) == rules.count(gate.Rule.SIZE) == 3
    assert rules.count(gate.Rule.RATE) == 1
