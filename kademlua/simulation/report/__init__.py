"""Results of a run: metrics, text, plots and traces."""
