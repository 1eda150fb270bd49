"""Readers of images, one source a file; `engine/images/datasets.py` is their door."""
