"""The wire format: bencoding, packets, requests and replies."""
