"""A small network for tests of whole runs."""

SMALL = """
title = "Small"
shows = "a network for tests"
duration = "60s"
[population]
nodes = 15
join = "5s"
settle = "5s"
[population.churn]
median = "2m"
returns = 0.5
away = "10s"
graceful = 0.3
[network]
loss = 0.05
jitter = "10ms"
reordering = 0.1
duplication = 0.05
[workload]
values = 5
warm_up = "5s"
finds = 20
lookups = 20
[[demand]]
figure = "lookup_p99"
at_most = "10s"
"""
