"""The documents are true: programs run, examples are the code's bytes, links resolve."""

import ast
import random
import re
import socket
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from kademlua import Contact, ContactPool, Node, Params
from kademlua.api.operations import NodeApi
from kademlua.build import build_name
from kademlua.core import params
from kademlua.core.contact import ALL_FAMILIES
from kademlua.core.errors import (
    WireError,
)
from kademlua.core.objects.layout import DEFAULT_BLOCK_BYTES
from kademlua.core.objects.tree import root_block
from kademlua.core.reasons import DropReason, MatchFailure
from kademlua.core.security.replay_protection import SessionTable
from kademlua.core.values import records
from kademlua.core.wire import (
    bencoding,
    find_many,
    packets,
    replies,
    requests,
    store_contacts,
    store_many,
)
from kademlua.core.wire.rpc_table import RPCS
from kademlua.runtime.private_transport import PrivateTransport
from tests.core.values.test_records import HELLO, SALTED
from tests.support import reference_aead
from tests.support.programs import ROOT, STRICT_WARNINGS, bootstrap_process, environment

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
PROTOCOL = "".join(path.read_text() for path in sorted(DOCS.glob("protocol*.md")))
DESIGN = (DOCS / "design.md").read_text()
EMBEDDING = (DOCS / "embedding.md").read_text()

# The programs: fenced blocks of Python, each optionally followed by its output.

_PROGRAM = re.compile(r"^```python\n(.*?)^```\n(?:```output\n(.*?)^```\n)?", re.M | re.S)


def programs():
    for page in (ROOT / "README.md", DOCS / "embedding.md", DOCS / "hosts.md"):
        text = page.read_text()
        for found in _PROGRAM.finditer(text):
            line = text.count("\n", 0, found.start()) + 2
            name = f"{page.name}:{line}"
            yield pytest.param("\n" * (line - 1) + found[1], found[2], id=name)


@pytest.mark.parametrize(("program", "output"), list(programs()))
def test_program(program, output, tmp_path):
    if "::1" in program and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    # One network for each program: the dead nodes of another one would slow it down.
    with bootstrap_process() if "8001" in program else nullcontext() as port:
        program = program.replace("8001", str(port)).replace("port=8003", "port=0")
        done = subprocess.run(
            [sys.executable, "-P", *STRICT_WARNINGS, "-c", program],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(),
            timeout=50,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    if output is not None:
        assert done.stdout == output


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


# The wire: the code writes and reads the examples of the protocol.

CALLER, CALLEE = b"abcdefghij0123456789", b"ABCDEFGHIJ0123456789"
RPC_ID = b"rpc-id-8"
KEY = b"mnopqrstuvwxyz123456"
V4 = Contact("192.0.2.1", 8003, b"QRSTUVWXYZ0123456789")
V6 = Contact("2001:db8::1", 8004, b"zyxwvutsrqponmlkjihg")
VALUES = [b"5:hello", b"i42e"]
NETWORK_KEY = b"0123456789abcdef0123456789abcdef"
NONCE = b"random-half1random-half2"
TICKET = b"ticket-8"
COUNTER = 0x0123456789ABCDEF


def payload(name, args=b"", read_only=False):
    return packets.encode_request_payload(name, args, read_only=read_only)


def keyed_examples():
    """The packets of two transports, not encrypted, with a fixed ticket and first counter; and a
    datagram with the first."""
    caller, callee = _Wire(), _Wire()
    caller_at, callee_at = ("192.0.2.7", 8007), ("192.0.2.1", 8003)
    request = packets.encode_request(CALLER, RPC_ID, payload(b"ping"))
    asks = PrivateTransport(
        caller, _Open(), Counter(), random.Random(1), lambda *_: request, CALLER
    )
    answers = PrivateTransport(
        callee, _Open(), Counter(), random.Random(2), lambda *_: None, CALLEE
    )
    received = []
    for each in (asks, answers):
        each.start(lambda body, endpoint: received.append(body))
    asks.send(request, callee_at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SessionTable, "ticket_for", lambda self, endpoint: TICKET)
        patch.setattr(SessionTable, "_random_counter", lambda self: COUNTER - 1)
        callee.receive(caller.sent[0], caller_at)
        caller.receive(callee.sent[0], callee_at)
        callee.receive(caller.sent[1], caller_at)
    assert received[0].startswith(request)
    answers.send(packets.encode_response(CALLEE, RPC_ID, replies.PONG), caller_at)
    return {
        "keyed-datagram": reference_aead.seal_datagram(NETWORK_KEY, NONCE, caller.sent[0]),
        "keyed-request": caller.sent[0],
        "keyed-challenge": callee.sent[0],
        "keyed-request-again": caller.sent[1],
        "keyed-response": callee.sent[1],
    }


class _Open:
    """A cipher that does not encrypt."""

    def seal(self, packet):
        return packet

    def open(self, datagram):
        return datagram


class _Wire:
    """A transport that records the datagrams sent."""

    def __init__(self):
        self.sent = []

    def start(self, receive):
        self.receive = receive

    def send(self, datagram, endpoint):
        self.sent.append(datagram)
        return True


EXAMPLES = {
    "ping-request": packets.encode_request(CALLER, RPC_ID, payload(b"ping")),
    "ping-request-1.0": packets.encode_request(CALLER, RPC_ID, b"d4:name4:ping4:argslee"),
    "ping-response": packets.encode_response(CALLEE, RPC_ID, replies.PONG),
    "error-130": packets.encode_error(CALLEE, RPC_ID, packets.NO_SUCH_RPC),
    "findnode-response-payload-token": replies.encode_findnode_reply([V4], 1, b"a-token!"),
    "findvalue-page-payload": replies.encode_findvalue_reply([], [b"5:hello"], 1, b"", 7),
    "store-token-payload": payload(
        b"store",
        requests.encode_store_args(
            requests.StoreArguments(KEY, b"5:hello", 3600, token=b"a-token!")
        ),
    ),
    "ping-payload-ro": payload(b"ping", read_only=True),
    "findnode-request-payload": payload(b"findnode", requests.encode_key_args(KEY)),
    "findnode-response-payload-1.0": replies.encode_findnode_reply([V4, V6], 0),
    "findnode-response-payload-1.1": replies.encode_findnode_reply([V4, V6], 1),
    "findvalue-request-payload": payload(b"findvalue", requests.encode_findvalue_args(KEY, 4096)),
    "findvalue-response-payload-1.0": replies.encode_findvalue_reply([V4], VALUES, 0),
    "findvalue-response-payload-1.1": replies.encode_findvalue_reply([V4], VALUES, 1),
    "store-request-payload": payload(
        b"store", requests.encode_store_args(requests.StoreArguments(KEY, VALUES[0], 3600))
    ),
    "store-handed-on-payload": payload(
        b"store",
        requests.encode_store_args(requests.StoreArguments(KEY, VALUES[0], 1800, owner=V4)),
    ),
    "store-contacts-request-payload": payload(
        b"store",
        requests.encode_store_args(
            requests.StoreArguments(KEY, VALUES[0], 3600, seq=1_900_000_000_000_000, closest=8)
        ),
    ),
    "store-contacts-response-payload": store_contacts.with_contacts(replies.STORE_OK, [V4]),
    "store-response-payload": replies.STORE_OK,
    "store-refused-payload": replies.encode_refused_reply("no room for more values"),
    "store-older-payload": replies.encode_refused_reply(
        "a newer value is stored", 1_900_000_000_000_000
    ),
    "storemany-request-payload": payload(
        b"storemany",
        requests.encode_store_many_args(
            KEY,
            [
                requests.encode_store_args(requests.StoreArguments(KEY, b"5:hello", 3600, seq=7)),
                requests.encode_store_args(requests.StoreArguments(KEY[:-1] + b"7", b"i5e", 60)),
            ],
            b"a-token!",
        ),
    ),
    "storemany-response-payload": store_many.encode_reply(
        [replies.STORE_OK, replies.encode_refused_reply("is leaving")]
    ),
    "findmany-request-payload": payload(
        b"findmany",
        find_many.encode_args(KEY, [KEY, KEY[:-1] + b"7", KEY[:-1] + b"8"], b"a-token!"),
    ),
    "findmany-response-payload": find_many.encode_reply([[b"5:hello", b"i42e"], [], None]),
    "remove-request-payload": payload(
        b"remove", requests.encode_remove_args(requests.RemoveArguments(KEY, 3600))
    ),
    "signed-bytes": SALTED.signed_bytes,
    "signed-bytes-exp": records.signed_bytes(b"foobar", 1, 1_900_000_000, HELLO),
    "signed-record": SALTED.encoded,
    "object-root": root_block(5, DEFAULT_BLOCK_BYTES, b"hello").encoded,
    "leave-request-payload": payload(b"leave", requests.encode_leave_args(is_handed_over=True)),
    "lacks-request-payload": payload(b"lacks", requests.encode_lacks_args(KEY, [V4, V6])),
    "reach-request-payload": payload(b"reach", requests.encode_reach_args(V4)),
    "ping-response-payload-ro": replies.CLIENT_PONG,
    "getsocket-response-payload": replies.encode_getsocket_reply("192.0.2.7", 8007),
} | keyed_examples()


def shown():
    """The examples of the document: by name, (bytes, explanation) line by line."""
    blocks = re.findall(r"<!-- example: (\S+) -->\n```text\n(.*?)```", PROTOCOL, re.S)
    return {
        name: [
            (bytes.fromhex(digits), said)
            for digits, _, said in (line.partition(" ") for line in body.splitlines())
        ]
        for name, body in blocks
    }


SHOWN = shown()


def test_document_shows_every_example():
    assert SHOWN.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_equals_encoded_bytes(name):
    if name.startswith("keyed-") and build_name() == "compiled":
        pytest.skip("methods of compiled classes cannot be replaced, so the ticket is not fixed")
    assert b"".join(raw for raw, _ in SHOWN[name]) == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_explanation_of_example_matches_its_bytes(name):
    for raw, said in SHOWN[name]:
        said = said.strip()
        kind, _, what = said.partition(" ")
        if kind in ("ciphertext", "tag"):
            assert name == "keyed-datagram"
        elif said.startswith('"'):
            assert raw == said[1:-1].encode("ascii")
        elif kind == "address":
            family = socket.AF_INET6 if ":" in what else socket.AF_INET
            assert raw == socket.inet_pton(family, what)
        elif said in ("public key", "signature"):
            assert raw in (SALTED.public_key if said == "public key" else SALTED.signature)
        else:
            assert kind in ("version", "call", "length", "port", "ticket", "counter")
            assert int.from_bytes(raw, "big") == int(what)


def read(name):
    return b"".join(raw for raw, _ in SHOWN[name])


@pytest.mark.parametrize(
    ("name", "rpc", "args", "version", "read_only"),
    [
        ("ping-request", b"ping", [], 1, False),
        ("ping-request-1.0", b"ping", [], 0, False),
        ("ping-payload-ro", b"ping", [], 1, True),
        ("keyed-request", b"ping", [], 1, False),
        ("keyed-request-again", b"ping", [], 1, False),
        ("findnode-request-payload", b"findnode", [KEY], 1, False),
        ("findvalue-request-payload", b"findvalue", [KEY, 4096], 1, False),
        ("remove-request-payload", b"remove", [KEY, 3600], 1, False),
        ("leave-request-payload", b"leave", [1], 1, False),
        ("lacks-request-payload", b"lacks", [KEY, V4.id + V6.id], 1, False),
        ("reach-request-payload", b"reach", [V4.compact], 1, False),
        ("store-request-payload", b"store", [KEY, b"hello", 0, b"", 3600], 1, False),
        (
            "store-handed-on-payload",
            b"store",
            [KEY, b"hello", 0, b"", 1800, {b"owner": V4.compact}],
            1,
            False,
        ),
    ],
)
def test_request_decodes(name, rpc, args, version, read_only):
    datagram = read(name)
    if name.endswith(("payload", "payload-ro")):
        datagram = packets.encode_request(CALLER, RPC_ID, datagram)
    request = packets.decode(datagram)
    assert isinstance(request, packets.Request)
    assert (request.sender_id, request.rpc_id) == (CALLER, RPC_ID)
    assert (request.name, request.args) == (rpc, args)
    assert (request.version, request.read_only) == (version, read_only)


@pytest.mark.parametrize(
    ("name", "call"), [("ping-response", 129), ("error-130", 130), ("keyed-response", 129)]
)
def test_response_decodes(name, call):
    response = packets.decode(read(name))
    assert isinstance(response, packets.Response)
    assert (response.sender_id, response.rpc_id, response.packet_type) == (CALLEE, RPC_ID, call)


def test_stated_sizes_match_examples():
    assert len(read("ping-request")) == 60
    assert len(read("ping-response")) == 37
    assert len(read("error-130")) == 30
    assert len(read("keyed-challenge")) == 38 < len(read("keyed-request"))
    assert len(read("keyed-datagram")) == 128


@pytest.mark.parametrize(
    ("name", "contacts", "values"),
    [
        ("findnode-response-payload-1.0", [V4], None),
        ("findnode-response-payload-1.1", [V4, V6], None),
        ("findvalue-response-payload-1.0", [V4], [b"hello", 42]),
        ("findvalue-response-payload-1.1", [V4], [b"hello", 42]),
    ],
)
def test_find_reply_decodes(name, contacts, values):
    answer = packets.decode_values(read(name))
    assert replies.decode_findnode_reply(answer, ContactPool(), ALL_FAMILIES) == contacts
    if values is not None:
        assert replies.decode_retval(answer) == values


def test_store_and_getsocket_decode():
    decode = packets.decode_values
    assert replies.decode_store_reply(decode(read("store-response-payload"))) is None
    refused = decode(read("store-refused-payload"))
    assert replies.decode_store_reply(refused) == ("no room for more values", 0)
    socket_seen = decode(read("getsocket-response-payload"))
    assert replies.decode_getsocket_reply(socket_seen) == ("192.0.2.7", 8007)


def test_replies_to_bad_keys_match_document():
    assert replies.BAD_KEY_FINDNODE == replies.BAD_KEY_STORE == b"li0ee"
    assert replies.BAD_KEY_FINDVALUE == b"llee"
    assert "that is `li0ee`" in PROTOCOL
    assert "that is `llee`" in PROTOCOL


def table_after(text, header):
    """The rows, cell by cell, of the table whose header row begins with ``header``."""
    lines = iter(text[text.index(header) :].splitlines()[2:])
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


def test_bencoding_table_matches_decoder():
    rows = table_after(PROTOCOL, "| bytes | | why |")
    assert len(rows) > 10
    for shown_bytes, verdict, _ in rows:
        raw = b"" if shown_bytes == "*nothing*" else shown_bytes.strip("`").encode()
        if verdict == "accepted":
            bencoding.decode(raw)
        else:
            assert verdict == "refused"
            with pytest.raises(WireError):
                bencoding.decode(raw)


def test_drop_table_lists_all_reasons():
    documented = {row[0].strip("`") for row in table_after(PROTOCOL, "| counted as | what came |")}
    # A bad contact makes the reply that holds it a bad response.
    assert documented == {*DropReason, *MatchFailure} - {DropReason.BAD_CONTACT}


def test_rpc_table_lists_all_rpcs():
    rows = table_after(PROTOCOL, "| RPC | arguments | version |")
    needs_validation = {row[0][1:].partition("]")[0]: row[3] for row in rows}
    assert needs_validation.keys() == {name.decode() for name in RPCS}
    for rpc in RPCS.values():
        assert (needs_validation[rpc.name] == "yes") == rpc.needs_validation


UNITS = {"": 1, "bytes": 1, "s": 1, "ms": 0.001, "d": 86_400, "KiB": 1 << 10, "MiB": 1 << 20}
QUANTITY = r"([\d,.]*\d) ?(bytes|KiB|MiB|ms|s|d|)(?![\w.])"


def quantities(text):
    return {
        float(number.replace(",", "")) * UNITS[unit] for number, unit in re.findall(QUANTITY, text)
    }


def test_limits_table_matches_params():
    rows = table_after(PROTOCOL, "| of Kademlua | limit | parameter |")
    rows += [row[::-1] for row in table_after(PROTOCOL, "| counted under `rate_limited` |")]
    named = [(name, row) for row in rows for name in re.findall(r"Params\.(\w+)", "".join(row))]
    assert len(named) > 15
    for name, row in named:
        assert getattr(Params(), name) in quantities(" ".join(row[:2])), (name, row)


def test_stated_defaults_match_params():
    stated = re.findall(rf"{QUANTITY} \(`Params\.(\w+)`", " ".join(PROTOCOL.split()))
    assert len(stated) >= 6
    for number, unit, name in stated:
        assert getattr(Params(), name) == pytest.approx(
            float(number.replace(",", "")) * UNITS[unit]
        )


# The parameters.


def params_table():
    """The table of Params as embedding.md has it, from the dataclass and its docstrings."""
    tree = ast.parse(Path(params.__file__).read_text())
    body = next(
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Params"
    )
    docs = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            docs[field.target.id] = " ".join(text.value.value.split())
    rows = ["| parameter | default | from | to | what |", "|---|---:|---:|---:|---|"]
    for spec in fields(Params):
        low, high = spec.metadata.get("low"), spec.metadata.get("high")
        bounds = ["", ""] if low is None else [f"{low:,}", f"{high:,}"]
        default = spec.default if low is None else f"{spec.default:,}"
        rows.append(f"| {' | '.join([f'`{spec.name}`', str(default), *bounds, docs[spec.name]])} |")
    return "\n".join(rows)


def test_params_table_matches_code():
    assert EMBEDDING.partition("<!-- params -->\n")[2].strip() == params_table()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_params_exist(page):
    names = set(re.findall(r"Params\.([a-z_0-9]+)", page.read_text()))
    assert {name for name in names if not hasattr(Params, name)} == set()


# The structure.


def test_design_names_every_package():
    structure = DESIGN.partition("## An incoming store")[0]
    for path in (ROOT / "kademlua").iterdir():
        if path.suffix == ".py" and path.name != "__init__.py":
            assert f"`{path.name}`" in structure, path
        elif (path / "__init__.py").exists():
            assert f"{path.name}/`" in structure, path


def test_control_table_lists_every_operation():
    shown = re.findall(r"^\| `([a-z_]+)` \|", (DOCS / "control.md").read_text(), re.M)
    with Node() as node:
        names = NodeApi(node).names
    assert sorted(shown) == sorted([*names, "shell", "line", "interrupt"])


# Links.


def anchors(text):
    """The anchors of a page's headings, as the usual renderers make them."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), target
        if anchor:
            assert anchor in anchors(other.read_text()), target
