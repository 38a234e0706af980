"""What was acknowledged outlives any end; ``python -m tests.storage.kill`` does more of it."""

from __future__ import annotations

import random
from pathlib import Path

from tests.storage.kill import kill_again_and_again


def test_acknowledged_values_survive_kill_9(tmp_path: Path) -> None:
    result = kill_again_and_again(tmp_path / "data", 3, 500, random.Random())
    assert result.missing == 0
    assert result.acknowledged >= 500
