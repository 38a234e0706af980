"""Network lookups: for nodes and for values."""
