"""The reasons by which packets, responses, deferred requests and calls are counted.

Members are strings: statistics and metrics show them as they are.
"""

from __future__ import annotations

from enum import StrEnum


class DropReason(StrEnum):
    """Why a datagram is dropped (``Stats.dropped``)."""

    SHORT = "short"
    TRUNCATED = "truncated"
    TOO_LARGE = "too large"
    OTHER_VERSION = "unknown version"
    UNKNOWN_TYPE = "unknown packet type"
    NOT_BENCODED = "not bencoded"
    NESTED_TOO_DEEPLY = "nested too deeply"
    TOO_MANY_TOKENS = "too many tokens"
    BAD_REQUEST = "bad request"
    BAD_RESPONSE = "bad response"
    BAD_CONTACT = "bad contact"
    OWN_ID = "own id"
    PORT_ZERO = "port 0"
    BUSY = "busy"
    STALE = "stale"
    NOT_SENT = "not sent"
    NOT_PERMITTED = "not permitted"
    UNDECIPHERABLE = "undecipherable"
    UNPROVEN = "unproven"
    REPLAYED = "replayed"
    UNEXPECTED_CHALLENGE = "unexpected challenge"


class MatchFailure(StrEnum):
    """Why a response belongs to no call in flight; also counted in ``Stats.dropped``."""

    UNEXPECTED = "unexpected response"
    OTHER_ENDPOINT = "response from another endpoint"
    OTHER_ID = "response from another id"


class IgnoredValue(StrEnum):
    """Why a value in a reply is ignored (``Stats.ignored_values``)."""

    TOO_LARGE = "too large"
    OVER_BUDGET = "over the byte budget"
    REPEATED = "repeated"


class DeferralOutcome(StrEnum):
    """What became of a request that waited for a proof of its sender's address."""

    SERVED = "served"
    NO_SPACE = "no room"
    NO_PROOF = "no proof"


class Purpose(StrEnum):
    """What a call to another node is for (``Stats.calls_by_purpose``)."""

    FIND_NODE = "find_node"
    FIND_VALUE = "find_value"
    STORE = "store"
    REMOVE = "remove"
    CALL = "call"
    PUBLISH = "publish"
    REPLICATE = "replicate"
    READ_REPAIR = "read_repair"
    LEAVE = "leave"
    JOIN = "join"
    MAINTAIN = "maintain"
    REFRESH = "refresh"
    PROBE = "probe"
    REACH = "reach"
    WATCH = "watch"
