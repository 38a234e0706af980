"""Handlers of the RPCs that only read: ping, findnode, findvalue and getsocket."""

from __future__ import annotations

from collections.abc import Mapping

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import BadArguments
from kademlua.core.ids import is_id, prefix_of, to_int
from kademlua.core.wire import replies
from kademlua.core.wire.packets import HEADER_BYTES, Request
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.server import RequestHandler
from kademlua.runtime.context import Context


class QueryHandlers:
    """Answers queries from one node's routing table and store. No handler blocks."""

    __slots__ = ("_context", "_local_int", "_params", "_status", "_store", "_table", "_validator")

    def __init__(self, context: Context, validator: AddressValidator) -> None:
        self._context = context
        self._status = context.status
        self._validator = validator
        self._local_int = to_int(context.id)
        self._table = context.table
        self._store = context.store
        self._params = context.params

    @property
    def handlers(self) -> Mapping[bytes, RequestHandler]:
        """The handlers by the name of their RPC."""
        return {
            b"ping": self.handle_ping,
            b"findnode": self.handle_findnode,
            b"findvalue": self.handle_findvalue,
            b"getsocket": self.handle_getsocket,
        }

    def handle_ping(self, request: Request, endpoint: Endpoint) -> bytes:
        """Answer that this node is alive, and to a 1.1 peer whether it is a client."""
        if self._status.is_client and request.version:
            return replies.CLIENT_PONG
        return replies.PONG

    def handle_getsocket(self, request: Request, endpoint: Endpoint) -> bytes:
        """Return the address and port from which the request came."""
        return replies.encode_getsocket_reply(*endpoint)

    def handle_findnode(self, request: Request, endpoint: Endpoint) -> bytes:
        """Return the k contacts closest to a key, as far as the reply budget allows."""
        key = request.args[0] if request.args else None
        if type(key) is not bytes or not is_id(key):
            return replies.BAD_KEY_FINDNODE
        version = request.version
        contacts = self._closest(key, request.sender_id, version)
        token = self._validator.issue_token(request, endpoint, key)
        reply = replies.encode_findnode_reply(contacts, version, token)
        budget = self._reply_budget(request)
        if len(reply) > budget:
            self._validator.request_validation(request, endpoint)
            overhead = len(reply) - replies.encoded_size(contacts, version)
            contacts = self._trim_to_budget(contacts, key, version, budget - overhead)
            reply = replies.encode_findnode_reply(contacts, version, token)
        return reply

    def handle_findvalue(self, request: Request, endpoint: Endpoint) -> bytes:
        """Return the values of a key, and on the first page the closest contacts."""
        args = request.args
        key = args[0] if args else None
        if type(key) is not bytes or not is_id(key):
            return replies.BAD_KEY_FINDVALUE
        limit = args[1] if len(args) > 1 else 1
        version = request.version
        offset = args[2] if version and len(args) > 2 else 0
        if type(offset) is not int or offset < 0:
            raise BadArguments("skip is a number")
        now = request.received_at
        if type(limit) is not int:  # the original returns contacts unless it has values
            if self._store.get(key, 1, now):
                raise BadArguments("howmany is a number")
            limit = 0
        budget = self._reply_budget(request)
        # 1.0 has no further pages, so its page may be longer.
        max_bytes = budget if version else max(budget, self._params.max_value_bytes)
        values, remaining = self._store.page(key, limit, now, offset=offset, max_bytes=max_bytes)
        contacts: list[Contact] = []
        if not offset:  # further pages have no contacts
            closest = self._closest if version else self._closest_v10
            contacts = closest(key, request.sender_id, version)
        token = self._validator.issue_token(request, endpoint, key)
        if not remaining:
            reply = replies.encode_findvalue_reply(contacts, values, version, token)
            if len(reply) <= budget:
                return reply
        self._validator.request_validation(request, endpoint)
        budget -= replies.FINDVALUE_OVERHEAD_BYTES
        page = values[:1] if version else _take_page(values, self._params.max_value_bytes)
        contacts = self._trim_to_budget(contacts, key, version, budget - sum(map(len, page)))
        if version:  # 1.0 has no further pages
            page = _take_page(values, budget - replies.encoded_size(contacts, version))
        remaining += len(values) - len(page)
        return replies.encode_findvalue_reply(contacts, page, version, token, remaining)

    def _reply_budget(self, request: Request) -> int:
        """Return the bytes that the payload of a reply may have."""
        return min(request.permit.reply_budget, self._params.max_reply_bytes) - HEADER_BYTES

    def _trim_to_budget(
        self, contacts: list[Contact], key: bytes, version: int, budget: int
    ) -> list[Contact]:
        """Return the contacts closest to a key that fit into ``budget`` bytes."""
        target_int = to_int(key)
        contacts.sort(key=lambda contact: contact.id_int ^ target_int)
        return replies.take_fitting(contacts, version, budget)

    def _closest_v10(self, key: bytes, exclude: bytes, version: int) -> list[Contact]:
        """Return the contacts of a 1.0 findvalue reply.

        A 1.0 node returns contacts that are no farther from the key than itself, by bucket
        number. The original would query itself if the caller were among them.
        """
        target_int = to_int(key)
        limit = 1 << (self._local_int ^ target_int).bit_length()
        closest = self._closest(key, exclude, version)
        if limit_prefix := prefix_of(limit):  # mostly, the first bits of distances tell
            target_prefix = prefix_of(target_int)
            return [c for c in closest if c.prefix ^ target_prefix < limit_prefix]
        return [c for c in closest if c.id_int ^ target_int < limit]

    def _closest(self, key: bytes, exclude: bytes, version: int) -> list[Contact]:
        """Return the k closest contacts that a peer of ``version`` can read, in any order."""
        k = self._params.k
        if version == 0 and self._context.address_families.ipv6:  # 1.0 has no IPv6
            closest = self._table.closest(key, len(self._table), exclude)
            return [contact for contact in closest if not contact.is_ipv6][:k]
        return self._table.closest(key, k, exclude, is_sorted=False)


def _take_page(values: list[bytes], budget: int) -> list[bytes]:
    """Return the values from the front that fit into ``budget`` bytes, at least one."""
    for count, value in enumerate(values):
        budget -= len(value)
        if budget < 0 and count > 0:
            return values[:count]
    return values
