"""Rate limits, write tokens, validated addresses and network keys."""
