"""Nodes for programs that are not written for gevent: for threads, and for asyncio."""
