"""Objects: content of any size, stored as trees of immutable records."""

from __future__ import annotations

from typing import Any, Final

from kademlua.core.objects.errors import ObjectNotFound
from kademlua.core.objects.form import PLAIN, BlockForm
from kademlua.core.objects.layout import DEFAULT_BLOCK_BYTES, check_block_bytes
from kademlua.core.objects.pointer import pointer_to, target_of
from kademlua.core.objects.tree import Block
from kademlua.core.results import Publication, PutResult, StoreReport
from kademlua.core.values.validation import validate_key, validate_ttl
from kademlua.core.wire.requests import StoreArguments
from kademlua.crypto.sealed_blocks import SealedForm
from kademlua.crypto.secret import Secret
from kademlua.crypto.signing import Signer
from kademlua.node.lifecycle import Lifecycle
from kademlua.node.records import Records
from kademlua.node.secret_records import SecretRecords
from kademlua.objects.block_store import BlockStore, SingleBlocks
from kademlua.objects.published import PublishedObject, PublishedObjects
from kademlua.objects.publishing import BlockPublisher
from kademlua.objects.reader import ObjectReader, find_tree
from kademlua.objects.writer import ObjectSource, ObjectWriter, OnProgress, pieces_of
from kademlua.runtime.context import Context
from kademlua.runtime.time_slices import in_slices
from kademlua.values.writer import ValueWriter

_ROOT_OVERHEAD: Final = 80
"""Bytes of a root besides its content, at most."""


class Objects:
    """The part of a node that deals with objects."""

    __slots__ = (
        "_context",
        "_form",
        "_lifecycle",
        "_names",
        "_publisher",
        "_records",
        "_writer",
    )

    def __init__(
        self,
        *,
        context: Context,
        lifecycle: Lifecycle,
        records: Records,
        writer: ValueWriter,
        publisher: BlockPublisher,
        secret: Secret | None = None,
    ) -> None:
        """Store and find objects; with a ``secret``, only its holders can read them."""
        self._form: BlockForm = PLAIN if secret is None else SealedForm(secret)
        self._names = records if secret is None else SecretRecords(records, secret)
        self._context = context
        self._lifecycle = lifecycle
        self._records = records
        self._writer = writer
        self._publisher = publisher

    def with_secret(self, secret: Secret) -> Objects:
        """Return the same operations for objects that only holders of a secret can read."""
        return Objects(
            context=self._context,
            lifecycle=self._lifecycle,
            records=self._records,
            writer=self._writer,
            publisher=self._publisher,
            secret=secret,
        )

    def put_object(
        self,
        source: ObjectSource,
        *,
        ttl: float | None = None,
        publish: bool = False,
        skip_stored: bool = False,
        block_bytes: int = DEFAULT_BLOCK_BYTES,
        on_progress: OnProgress | None = None,
    ) -> bytes:
        """Store content of any size, and return the key that proves it.

        Equal blocks are stored once. The content is read while it is stored, and never kept as a
        whole, except by a node that publishes it.

        Args:
            source: Bytes, or a binary stream, which is read to its end.
            ttl: Seconds that holders keep it, default ``Params.ttl``.
            publish: Store it again before its TTL ends, until ``unpublish_object``.
            skip_stored: Look for each block first, and store only those that are missing: goes on
                with an object of which a part was stored a moment ago. Blocks that are found keep
                the TTL that they have. Ignored with ``publish``.
            block_bytes: Bytes in a block. With 1,024, no packet needs fragments.
            on_progress: Called after each block with the ObjectReport so far.

        Raises:
            ObjectRefused: a block could not be stored; its ``report`` says how much was.
            NotJoined, NodeClosed, TypeError, ValueError: see ``add``.
        """
        ttl_seconds = validate_ttl(ttl, self._context.params)
        check_block_bytes(block_bytes)
        if (
            self._form.record_bytes(block_bytes + _ROOT_OVERHEAD)
            > self._context.params.max_value_bytes
        ):
            raise ValueError(
                f"a block of {block_bytes:,} bytes does not fit into a value, which has at most"
                f" {self._context.params.max_value_bytes:,}"
            )
        pieces = pieces_of(source)
        self._lifecycle.require_joined()
        written: set[bytes] = set()
        writer = ObjectWriter(
            self._blocks(ttl_seconds, written if publish else None),
            block_bytes=block_bytes,
            form=self._form,
            skip_stored=skip_stored and not publish,
            on_progress=on_progress,
        )
        try:
            with self._publisher.writing(written):
                return writer.write(pieces)
        except BaseException:
            if written:
                self._publisher.unpublish(lambda: written - self._published().all_keys())
            raise

    def open_object(self, key: bytes) -> ObjectReader:
        """Return an object as a binary file that can be read and sought.

        Raises:
            ObjectNotFound: no node has its root.
            MalformedObject: the record of this key is no object.
            NotJoined, NodeClosed, TypeError, ValueError: see ``add``.
        """
        self._lifecycle.require_joined()
        return ObjectReader(key, find_tree(self._blocks(), validate_key(key), self._form))

    def publish_object(
        self, key: bytes, *, ttl: float | None = None, on_progress: OnProgress | None = None
    ) -> None:
        """Read an object from the network, and publish it as ``put_object`` does.

        Raises:
            ObjectNotFound, BlockMissing, MalformedObject, ObjectRefused: it cannot be read or
                stored.
            NotJoined, NodeClosed, TypeError, ValueError: see ``add``.
        """
        with self.open_object(key) as reader:
            self.put_object(
                reader,
                ttl=ttl,
                publish=True,
                block_bytes=reader.block_bytes,
                on_progress=on_progress,
            )

    def unpublish_object(self, key: bytes) -> bool:
        """Stop publishing an object; its blocks expire at their TTL.

        Blocks that belong to other published objects stay. Return whether it was published.
        """
        validate_key(key)
        return self._publisher.unpublish(lambda: self._published().keys_of(key))

    def published_objects(self) -> list[PublishedObject]:
        """Return the objects that this node publishes."""
        return self._published().objects()

    def name_object(
        self, key: bytes, signer: Signer, *, salt: bytes = b"", ttl: float | None = None
    ) -> PutResult:
        """Let the public key of a signer name an object, in place of the one that it named before.

        The name is a signed record, which lives for ``ttl`` seconds, default ``Params.ttl``.

        Raises:
            RecordStale, CryptoUnavailable, StoreFailed, NotJoined, TooManyCalls, NodeClosed,
            TypeError, ValueError: see ``put_signed``.
        """
        return self._names.put_signed(pointer_to(validate_key(key)), signer, salt=salt, ttl=ttl)

    def find_named_object(self, public_key: bytes, salt: bytes = b"") -> bytes:
        """Return the key of the object that a public key names.

        Raises:
            ObjectNotFound: it names none.
            MalformedObject: its record does not point to an object.
            RecordForged, RecordExpired, CryptoUnavailable, NotJoined, TooManyCalls, NodeClosed,
            TypeError, ValueError: see ``get_signed``.
        """
        record = self._names.get_signed(public_key, salt)
        if record is None:
            raise ObjectNotFound(public_key)
        return target_of(record.value)

    def _published(self) -> PublishedObjects:
        publications = self._publisher.publications()
        return PublishedObjects(in_slices(publications, self._context.clock), self._form)

    def _blocks(self, ttl: int = 0, written: set[bytes] | None = None) -> BlockStore:
        """Return the blocks of the network. With ``written``, those that are put are published, and
        their keys are added to it."""

        def put(block: Block) -> StoreReport:
            if written is None:
                return self._writer.store(StoreArguments(block.key, block.encoded, ttl))
            publication = Publication(block.key, block.encoded, ttl)
            return self._publisher.publish(publication, written)

        return SingleBlocks(put, self._get, self._context.clock)

    def _get(self, key: bytes) -> Any | None:
        try:
            return self._records.get_immutable(key)
        except KeyError:
            return None
