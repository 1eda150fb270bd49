"""Readers of images, one source a file; `engine/datasets.py` is their door."""
