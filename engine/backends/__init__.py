"""Engines that classify noisy rows; one file per runtime."""
