"""The protocol document lists every reason for which a node refuses a store."""

import errno
import os
from functools import partial

import pytest

from kademlua import Params
from kademlua.core.errors import ConflictingValue, RecordRefused, StaleValue, StoreRefused
from kademlua.core.values import records
from kademlua.core.values.quotas import ENTRY_UNIT, StoreUsage, check_quotas
from kademlua.core.wire import replies
from kademlua.storage.lmdb_errors import CorruptFile, FileGone, failure_reason
from kademlua.values.admission import REASON_HAS_RECORD
from tests.core.values.test_records import SALTED
from tests.docs.test_documents import KEY, PROTOCOL, table_after


def refusal(check, *args):
    """The reason with which a check refuses a value."""
    with pytest.raises((StoreRefused, RecordRefused)) as refused:
        check(*args)
    return refused.value.reason


def quota_refusals():
    params = Params()
    free = {"total": 0, "address_usage": 0, "key_entries": 0}
    exceeded = [
        {"key_entries": params.max_entries_per_key},
        {"subnet_key_entries": params.subnet_limit_key},
        {"address_usage": params.max_bytes_per_address},
        {"address_usage": params.max_entries_per_address * ENTRY_UNIT},
    ]
    reasons = {refusal(partial(check_quotas, params, 1, **free | each)) for each in exceeded}
    too_large = refusal(partial(check_quotas, params, params.max_value_bytes + 1, **free))
    too_many = (params.max_entries + 1) * ENTRY_UNIT, params.max_stored_bytes + 1
    full = {refusal(StoreUsage().check_fair_share, params, b"net", each, []) for each in too_many}
    return reasons | full | {too_large}


def record_refusals():
    salt = bytes(records.MAX_SALT_BYTES + 1)
    return {
        refusal(records.check_fields, salt, 1, None),
        refusal(records.check_fields, b"", -1, None),
        refusal(records.check_fields, b"", 1, -1),
        refusal(records.check_key, SALTED, KEY),
    } | {kind.default_reason for kind in RecordRefused.__subclasses__()}


def disk_refusals(tmp_path):
    path = tmp_path / "values.lmdb"
    errors = [OSError(os.strerror(code)) for code in (errno.ENOSPC, errno.EIO, errno.ENOMEM)]
    return {
        failure_reason(path, error) for error in (*errors, FileGone(), CorruptFile(path, "pages"))
    }


def test_refusal_table_lists_all_reasons(tmp_path):
    said = {row[0].strip("`") for row in table_after(PROTOCOL, "| reason | bound |")}
    fixed = {replies.REASON_REMOVED, replies.REASON_LEAVING, REASON_HAS_RECORD}
    fixed |= {StaleValue(1).reason, ConflictingValue().reason}
    assert said == quota_refusals() | record_refusals() | disk_refusals(tmp_path) | fixed
