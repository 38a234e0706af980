"""Coverage-guided fuzzing of everything that untrusted peers can send."""
