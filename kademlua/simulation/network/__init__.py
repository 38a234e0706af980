"""The virtual network: links, latency, conditions and adversaries."""
