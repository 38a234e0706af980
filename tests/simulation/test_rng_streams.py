from kademlua.simulation.rng_streams import RngStreams


def draw(seed: int, *names: str | int) -> list[float]:
    stream = RngStreams(seed).stream(*names)
    return [stream.random() for _ in range(5)]


def test_a_stream_is_the_same_for_the_same_seed_and_name():
    assert draw(1, "node", 7) == draw(1, "node", 7)


def test_streams_of_other_names_or_seeds_differ():
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


def test_what_one_stream_draws_changes_nothing_for_another():
    streams = RngStreams(1)
    churn = streams.stream("churn")
    churn.random()
    other = streams.stream("workload")
    other.random()
    assert [churn.random() for _ in range(4)] == draw(1, "churn")[1:]


def test_the_numbers_are_those_of_every_machine():
    assert RngStreams(1).seed_for("node", 7) == 12004588706597138295
