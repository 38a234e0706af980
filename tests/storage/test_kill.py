"""Acknowledged values survive SIGKILL; ``python -m tests.storage.kill`` runs it longer."""

from __future__ import annotations

import random
from pathlib import Path

from tests.storage.kill import kill_repeatedly


def test_acknowledged_values_survive_kill_9(tmp_path: Path) -> None:
    result = kill_repeatedly(tmp_path / "data", 3, 500, random.Random())
    assert result.missing == 0
    assert result.acknowledged >= 500
