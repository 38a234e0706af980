"""Traces: the lines of a run, and lookups as trees."""

import json

import pytest

from kademlua.simulation.report import lookup_tree
from kademlua.simulation.runner import run
from kademlua.simulation.scenario import loader
from tests.simulation.small import SMALL


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trace")
    path = folder / "small.toml"
    path.write_text(SMALL)
    result = run(loader.load(path), 3, trace_path=folder / "trace.jsonl")
    lines = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
    return result, folder / "trace.jsonl", lines


def test_each_packet_has_a_line(traced):
    result, _, lines = traced
    packets = [line for line in lines if "outcome" in line]
    delivered = [line for line in packets if line["outcome"] == "delivered"]
    assert len(delivered) == result.packets["delivered"]
    lost = [line for line in packets if line["outcome"] == "loss"]
    assert len(lost) == result.packets["lost: loss"]
    assert all(line["sent"] <= line["t"] for line in packets)
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    assert {line.get("name") for line in packets} >= {"ping", "findnode", "findvalue", "store"}
    assert any(len(line.get("closest", ())) > 5 for line in packets)
    assert not any("bad" in line for line in packets)


def test_operations_agree_with_the_result(traced):
    result, path, _ = traced
    traced = lookup_tree.read_operations(path)
    assert len(traced) == 5 + 20 + 20
    ended = {number: each for number, each in traced.items() if each.ended_at is not None}
    assert set(ended) == {each.number for each in result.operations}
    for operation in result.operations:
        each = traced[operation.number]
        assert each.kind == operation.kind
        assert each.seconds == pytest.approx(operation.seconds, abs=1e-5)
        assert each.outcome["ok"] == operation.ok


def test_queries_agree_with_the_result(traced):
    result, path, _ = traced
    for operation in [each for each in result.operations if each.kind == "lookup"][:5]:
        selected, _ = lookup_tree.select_operation(path, operation.number)
        queries = lookup_tree.read_queries(path, selected)
        sent = sum(len(query.send_times) for query in queries)
        # A retransmission that the first packet overtakes looks like a duplicate.
        assert len(queries) <= sent <= operation.query_count <= 2 * len(queries)
        assert all(query.sent_at >= 0 for query in queries)
        assert sum(query.replied_at is not None for query in queries) >= 5


@pytest.fixture
def shown(capsys):
    """The lines that show a lookup."""

    def show(path, number):
        lookup_tree.print_operation(path, number)
        return capsys.readouterr().out.splitlines()

    return show


def test_tree_shows_the_slowest_lookup_by_default(traced, shown):
    result, path, _ = traced
    slowest = max(result.operations, key=lambda each: each.seconds)
    lines = shown(path, None)
    assert lines[0].startswith(f"{slowest.kind} {slowest.number} by 10.0.0.")
    assert lines[-1] == f"This is the slowest of {5 + 20 + 20} lookups; use --lookup N for another."
    branches = lines[1:-1]
    assert branches
    assert all(line.lstrip("│ ").startswith(("├── ", "└── ")) for line in branches)


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def packet(t, source, destination, outcome="delivered", **more):
    line = {
        "t": t,
        "sent": t - 0.05,
        "from": source,
        "to": destination,
        "outcome": outcome,
        "bytes": 9,
    }
    return line | more


def query(t, to, rpc, outcome="delivered"):
    return packet(t, "a:1", to, outcome, rpc=rpc, call=1, name="findnode", key="00ff")


def answer(t, source, rpc, *closest, outcome="delivered"):
    return packet(t, source, "a:1", outcome, rpc=rpc, call=129, closest=list(closest))


def begin(number=4, t=10.0):
    line = {"t": t, "operation": number, "kind": "lookup", "node": "a:1", "key": "00ff"}
    return line | {"seeds": ["b:1", "e:1"]}


def end(t=10.5, **more):
    line = {"t": t, "operation": 4, "kind": "lookup", "node": "a:1", "key": "00ff"}
    return line | {"ok": True, "hops": 2, "rpcs": 4} | more


def test_tree_groups_queries_below_their_sources(tmp_path, shown):
    path = write(
        tmp_path / "trace",
        query(9.0, "x:1", "99"),  # before the lookup began
        begin(),
        query(10.05, "b:1", "01"),
        answer(10.1, "b:1", "01", "c:1", "d:1", "e:1"),
        query(10.15, "c:1", "02"),
        query(10.16, "d:1", "03", outcome="loss"),
        packet(10.16, "z:1", "a:1", rpc="77", call=1, name="findnode", key="00ff"),
        answer(10.2, "c:1", "02", "b:1", "d:1"),
        query(10.25, "e:1", "04"),
        query(10.28, "e:1", "04"),
        answer(10.3, "e:1", "04", outcome="loss"),
        end(recall=0.95, why="because"),
    )
    assert shown(path, 4) == [
        "lookup 4 by a:1 of 00ff, started at 10.000 s: 0.500 s, 4 queries, 2 hops, recall 95 %, "
        "because",
        "├── b:1  +0.000 → +0.100  100 ms, 3 contacts",
        "│   ├── c:1  +0.100 → +0.200  100 ms, 2 contacts",
        "│   └── d:1  +0.110  query lost (loss)",
        "└── e:1  +0.200 (sent 2 times)  reply lost (loss)",
    ]


def test_unfinished_lookup_is_marked(tmp_path, shown):
    lines = shown(write(tmp_path / "trace", begin()), None)
    assert lines == ["lookup 4 by a:1 of 00ff, started at 10.000 s: unfinished, 0 queries"]


@pytest.mark.parametrize(
    "text", ["no json\n", '"operation":\n', '{"operation": 1}\n', '{"t":1,"operation":{}}\n']
)
def test_file_that_is_not_a_trace_is_refused(tmp_path, text):
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(lookup_tree.TraceError, match=r"not a trace|contains no lookup"):
        lookup_tree.print_operation(path, None)


def test_missing_file_and_lookup_are_explained(tmp_path):
    with pytest.raises(FileNotFoundError):
        lookup_tree.print_operation(tmp_path / "none", None)
    path = write(tmp_path / "trace", begin(), end())
    with pytest.raises(lookup_tree.TraceError, match="no lookup 5; choose 4 to 4"):
        lookup_tree.print_operation(path, 5)
    path = write(tmp_path / "trace", begin(), {"from": "a:1", "rpc": "01"}, end())
    with pytest.raises(lookup_tree.TraceError, match="not a trace"):
        lookup_tree.print_operation(path, 4)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\n")
    with pytest.raises(lookup_tree.TraceError, match="not a trace"):
        lookup_tree.print_operation(tmp_path / "binary", None)
