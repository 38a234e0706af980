"""Storing values: request handlers, admission, writers and the republisher."""
