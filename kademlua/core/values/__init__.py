"""Values, records and tombstones, and the store in memory."""
