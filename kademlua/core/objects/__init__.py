"""Objects: content of any size as a tree of immutable records. Pure code."""
