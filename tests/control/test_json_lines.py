"""Messages as lines of JSON: limits, and no message after an unfinished one."""

import gevent
import pytest
from gevent import socket

from kademlua.control.json_lines import InvalidLine, JsonLineStream, parse_message


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield JsonLineStream(ours, 100), theirs
    ours.close()
    theirs.close()


def test_lines_are_read_from_any_chunks(pair):
    stream, other = pair
    other.sendall(b"one\ntw")
    assert stream.read() == b"one"
    gevent.spawn_later(0.01, other.sendall, b"o\n\nlast")
    assert stream.read() == b"two"
    assert stream.read() == b""
    gevent.spawn_later(0.01, other.shutdown, socket.SHUT_WR)
    assert stream.read() == b"last"
    assert stream.read() is None


@pytest.mark.parametrize("tail", [b"", b"\n", b"\nnext"])
def test_overlong_line_is_invalid(pair, tail):
    stream, other = pair
    other.sendall(b"x" * 100 + b"\n" + b"x" * 101 + tail)
    assert stream.read() == b"x" * 100
    with pytest.raises(InvalidLine, match="over 100 bytes"):
        stream.read()


def test_read_times_out(pair):
    stream, _ = pair
    with pytest.raises(TimeoutError):
        stream.read(0.01)


def test_messages_of_several_greenlets_do_not_mix(pair):
    stream, other = pair
    writers = [gevent.spawn(stream.write, {"text": letter * 300_000}) for letter in "abc"]
    found = JsonLineStream(other, 1_000_000)
    texts = sorted(parse_message(found.read())["text"] for _ in writers)
    assert texts == [letter * 300_000 for letter in "abc"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, gevent.GreenletExit])
def test_interrupted_write_ends_the_connection(pair, error):
    stream, other = pair

    def write():
        with pytest.raises(error):
            stream.write({"text": "x" * 10_000_000})
        with pytest.raises(BrokenPipeError):
            stream.write({"text": "more"})

    writer = gevent.spawn(write)
    gevent.sleep(0.01)
    writer.kill(error, block=False)
    writer.get(timeout=20)
    found = b""
    while chunk := other.recv(65_536):
        found += chunk
    assert found.startswith(b'{"text":"xxx')
    assert b"\n" not in found


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"1", b"NaN", b'{"a":Infinity}', b"\xff"])
def test_line_that_is_not_an_object_is_invalid(line):
    with pytest.raises(InvalidLine):
        parse_message(line)
