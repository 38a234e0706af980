"""The HTTP server: connections, request heads and limits."""
