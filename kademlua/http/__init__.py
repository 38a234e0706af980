"""HTTP beside a node: an API, metrics, events. What it takes is in the extra ``http``."""
