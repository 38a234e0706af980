"""The results of a run: metrics, text, JSON, plots and packet traces."""
