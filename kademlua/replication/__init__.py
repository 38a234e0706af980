"""Keeping enough replicas: transfer, read repair and handover."""
