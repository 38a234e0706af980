"""The virtual network: links, latency, packet loss and adversaries."""
