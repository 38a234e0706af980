"""The routing table and what decides about its contacts."""
