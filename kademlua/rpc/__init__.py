"""RPCs: client, server, retransmission timeouts and address validation."""
