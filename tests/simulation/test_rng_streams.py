from kademlua.simulation.rng_streams import RngStreams


def draw(seed: int, *names: str | int) -> list[float]:
    stream = RngStreams(seed).stream(*names)
    return [stream.random() for _ in range(5)]


def test_equal_seeds_and_names_give_equal_streams():
    assert draw(1, "node", 7) == draw(1, "node", 7)


def test_streams_differ_by_name_and_seed():
    drawn = [
        draw(1, "node", 7),
        draw(2, "node", 7),
        draw(1, "node", 8),
        draw(1, "node", "7"),
        draw(1, "node7"),
        draw(1, "no", "de", 7),
        draw(1),
    ]
    assert len({tuple(each) for each in drawn}) == len(drawn)


def test_streams_are_independent():
    streams = RngStreams(1)
    churn = streams.stream("churn")
    churn.random()
    other = streams.stream("workload")
    other.random()
    assert [churn.random() for _ in range(4)] == draw(1, "churn")[1:]


def test_seeds_are_equal_on_all_machines():
    assert RngStreams(1).seed_for("node", 7) == 12004588706597138295
