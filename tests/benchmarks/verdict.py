"""Whether a target is met, as the tables say it."""


def verdict(*, is_met: bool) -> str:
    """Return the word for a target that is met or missed."""
    return "met" if is_met else "MISSED"
