"""The liveliness manager: which contacts are alive."""
