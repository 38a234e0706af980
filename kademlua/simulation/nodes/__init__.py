"""The simulated nodes, their churn and their workload."""
