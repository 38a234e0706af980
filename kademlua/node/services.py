"""The assembly of a node: every part is built here, once, from the parts it needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from kademlua.core.contact import ContactPool, Endpoint
from kademlua.core.params import Params
from kademlua.core.pending_calls import PendingCalls
from kademlua.core.routing.bep42 import generate_id
from kademlua.core.routing.diversity import DiversityLimits
from kademlua.core.routing.table import RoutingTable
from kademlua.core.stats import Stats
from kademlua.core.values.conflicts import ConflictQueue
from kademlua.core.values.memory_store import MemoryStore
from kademlua.crypto.datagram_cipher import DatagramCipher
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.membership.bootstrap import Bootstrap
from kademlua.membership.maintenance import Maintenance, Upkeep
from kademlua.membership.reachability import ReachabilityProber
from kademlua.node.options import NodeOptions
from kademlua.node.receiver import DatagramRouter
from kademlua.objects.publishing import BlockPublisher
from kademlua.replication.conflict_resolver import ConflictResolver
from kademlua.replication.handover import Handover
from kademlua.replication.read_repair import ReadRepair
from kademlua.replication.replicator import Replicator
from kademlua.replication.transfer import ValueTransfer
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.client import RpcClient
from kademlua.rpc.queries import QueryHandlers
from kademlua.rpc.request_gate import RequestGate
from kademlua.rpc.server import RpcServer
from kademlua.runtime.context import Context, NodeStatus
from kademlua.runtime.observers import ObserverSet
from kademlua.runtime.private_transport import PrivateTransport
from kademlua.runtime.safe_logger import SafeLogger
from kademlua.runtime.transport import Transport, UdpTransport
from kademlua.values.bulk.batch_sender import BatchSender
from kademlua.values.bulk.bulk_finder import BulkFinder
from kademlua.values.bulk.bulk_writer import BulkWriter
from kademlua.values.bulk.region_lookups import RegionLookups
from kademlua.values.find_many_handler import FindManyHandler
from kademlua.values.ownership import OwnershipProver, id_of
from kademlua.values.pacing import UpkeepPacer
from kademlua.values.publisher import Republisher
from kademlua.values.store_handlers import StoreHandlers
from kademlua.values.store_many_handler import StoreManyHandler
from kademlua.values.watch.holder_calls import WatchParts
from kademlua.values.watch.lease_holder import LeaseHolder
from kademlua.values.watch.watcher import Watcher
from kademlua.values.writer import ValueWriter

# One name for all nodes, independent of where this file is: users filter logs by it.
_logger = logging.getLogger("kademlua.node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of one node that ``Node`` and its operations use."""

    context: Context
    client: RpcClient
    validator: AddressValidator
    gate: RequestGate
    server: RpcServer
    router: DatagramRouter
    liveliness: LivelinessManager
    lookups: LookupService
    prover: OwnershipProver
    writer: ValueWriter
    bulk_writer: BulkWriter
    bulk_finder: BulkFinder
    store_handlers: StoreHandlers
    read_repair: ReadRepair
    handover: Handover
    lease_holder: LeaseHolder
    watcher: Watcher
    republisher: Republisher
    block_publisher: BlockPublisher
    maintenance: Maintenance


def build_context(
    local: Endpoint, params: Params, options: NodeOptions, *, read_only: bool
) -> tuple[Context, PendingCalls]:
    """Build what all parts of a node share, and the table of its calls in flight."""
    host, port = local
    rng, clock = options.rng, options.clock
    if options.identity is not None:
        node_id = id_of(options.identity)
    else:
        node_id = options.id or generate_id(host, rng, bep42=params.bep42_ids)
    stats = Stats(clock())
    pending = PendingCalls(params.max_calls)
    transport: Transport = options.transport or UdpTransport(host, port, params)
    if options.network_keys:
        restart_call = partial(_restart_call, pending, clock, params.rpc_timeout)
        cipher = DatagramCipher(options.network_keys)
        transport = PrivateTransport(transport, cipher, stats.dropped, rng, restart_call, node_id)
    limits = DiversityLimits.from_params(params, is_private_network=bool(options.network_keys))
    log = SafeLogger(_logger, {"node": node_id})
    observers = ObserverSet(log)
    context = Context(
        id=node_id,
        read_only=read_only,
        status=NodeStatus(is_client=read_only),
        params=params,
        clock=clock,
        wall_clock=options.wall_clock,
        rng=rng,
        transport=transport,
        pool=options.contact_pool if options.contact_pool is not None else ContactPool(),
        table=RoutingTable(node_id, params.k, clock(), limits, observers.notify_table_change),
        diversity_limits=limits,
        store=options.store if options.store is not None else MemoryStore(params),
        stats=stats,
        observers=observers,
        log=log,
    )
    return context, pending


def build_services(
    context: Context, pending: PendingCalls, bootstrap: Sequence[Endpoint], options: NodeOptions
) -> Services:
    """Build the parts of a node, and register the RPC handlers of each subsystem."""
    conflicts = ConflictQueue()
    prover = OwnershipProver(context, options.identity, options.last_addresses)
    client = RpcClient(context, pending)
    validator = AddressValidator(context, client)
    gate = RequestGate(context, validator)
    server = RpcServer(context, gate, validator)
    liveliness = LivelinessManager(context, client, validator, options.v10_peers)
    lookups = LookupService(context, client, liveliness)
    lease_holder = LeaseHolder(context, client, liveliness)
    watcher = Watcher(WatchParts(context, client, liveliness, lookups, lease_holder))
    writer = ValueWriter(context, client, liveliness, lookups, prover, lease_holder.on_change)
    bootstrapper = Bootstrap(
        bootstrap, context, client, liveliness, lookups, options.cached_endpoints
    )
    pacer = UpkeepPacer(context)
    transfer = ValueTransfer(context, client, liveliness, lookups, pacer)
    replicator = Replicator(context, transfer)
    read_repair = ReadRepair(context, client, liveliness, transfer, replicator)
    handover = Handover(context, client, liveliness, transfer)
    reachability = ReachabilityProber(context, client, liveliness, server.reply_later)
    regions = RegionLookups(context, lookups)
    sender = BatchSender(client, liveliness, writer)
    bulk_writer = BulkWriter(context, writer, sender, pacer, regions)
    republisher = Republisher(
        context, writer, bulk_writer, options.publication_store, is_v10=liveliness.versions.is_v10
    )
    store_handlers = StoreHandlers(context, conflicts, server.reply_later, lease_holder.on_change)

    server.add_handlers(QueryHandlers(context, validator).handlers)
    server.add_handlers(
        {
            b"store": store_handlers.handle_store,
            b"storemany": StoreManyHandler(context, store_handlers, server.reply_later).handle,
            b"findmany": FindManyHandler(context).handle,
            b"remove": store_handlers.handle_remove,
            b"lacks": read_repair.handle_lacks,
            b"leave": handover.handle_leave,
            b"reach": reachability.handle_reach,
            b"reached": reachability.handle_reached,
            b"watch": lease_holder.handle_watch,
            b"changed": watcher.handle_changed,
        }
    )

    upkeep = Upkeep(
        bootstrap=bootstrapper,
        lookups=lookups,
        liveliness=liveliness,
        replicator=replicator,
        republisher=republisher,
        conflict_resolver=ConflictResolver(context, conflicts, transfer),
        reachability=reachability,
        client=client,
        watcher=watcher,
    )
    maintenance = Maintenance(context, upkeep)
    router = DatagramRouter(
        context=context,
        client=client,
        gate=gate,
        server=server,
        liveliness=liveliness,
        heartbeat=maintenance.heartbeat,
    )
    return Services(
        context=context,
        client=client,
        validator=validator,
        gate=gate,
        server=server,
        router=router,
        liveliness=liveliness,
        lookups=lookups,
        prover=prover,
        writer=writer,
        bulk_writer=bulk_writer,
        bulk_finder=BulkFinder(context, client, liveliness, lookups, regions),
        store_handlers=store_handlers,
        read_repair=read_repair,
        handover=handover,
        lease_holder=lease_holder,
        watcher=watcher,
        republisher=republisher,
        block_publisher=BlockPublisher(republisher),
        maintenance=maintenance,
    )


def _restart_call(
    pending: PendingCalls,
    clock: Callable[[], float],
    rpc_timeout: float,
    rpc_id: bytes,
    endpoint: Endpoint,
) -> bytes | None:
    """Return the datagram of a call in flight, whose time starts again; None if there is none."""
    call = pending.restart(rpc_id, endpoint, clock(), rpc_timeout)
    return None if call is None else call.datagram
