"""The protocol document lists every reason for which a node refuses a store."""

import errno
import os

import pytest

from kademlua import Params
from kademlua.core.errors import ConflictingValue, RecordRefused, StaleValue, StoreRefused
from kademlua.core.values import records
from kademlua.core.values.quotas import ENTRY_UNIT, QuotaUsage, check_quotas
from kademlua.core.wire import replies
from kademlua.storage.group_commit import failure_reason
from kademlua.storage.lmdb_environment import FileGone
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
    free = {"entries": 0, "key_entries": 0, "stored_bytes": 0, "address_usage": 0}
    exceeded = [
        {"entries": params.max_entries},
        {"key_entries": params.max_entries_per_key},
        {"stored_bytes": params.max_stored_bytes},
        {"address_usage": params.max_bytes_per_address},
        {"address_usage": params.max_entries_per_address * ENTRY_UNIT},
    ]
    reasons = {refusal(check_quotas, params, 1, QuotaUsage(**(free | each))) for each in exceeded}
    too_large = refusal(check_quotas, params, params.max_value_bytes + 1, QuotaUsage(**free))
    return reasons | {too_large}


def record_refusals():
    salt = bytes(records.MAX_SALT_BYTES + 1)
    return {
        refusal(records.check_fields, salt, 1, None),
        refusal(records.check_fields, b"", -1, None),
        refusal(records.check_fields, b"", 1, -1),
        refusal(records.check_key, SALTED, KEY),
    } | {kind.default_reason for kind in RecordRefused.__subclasses__()}


def disk_refusals(tmp_path):
    return {
        failure_reason(tmp_path / "values.lmdb", OSError(os.strerror(code)))
        for code in (errno.ENOSPC, errno.EIO, errno.ENOMEM)
    } | {failure_reason(tmp_path / "values.lmdb", FileGone())}


def test_refusal_table_lists_all_reasons(tmp_path):
    said = {row[0].strip("`") for row in table_after(PROTOCOL, "| reason | bound |")}
    fixed = {replies.REASON_REMOVED, replies.REASON_LEAVING, REASON_HAS_RECORD}
    fixed |= {StaleValue(1).reason, ConflictingValue().reason}
    assert said == quota_refusals() | record_refusals() | disk_refusals(tmp_path) | fixed
