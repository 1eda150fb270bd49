"""Readers of public checkpoint files: strict, and without running code from a file."""
