"""Fuzzing: what strangers may send, written by a machine that looks for trouble."""
