"""Certified robustness by randomized smoothing, compiled."""

__version__ = "0.1.0"
