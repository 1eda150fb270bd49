"""Readers of images, one source a file; programs ask `datasets.py` for a set by its name."""
