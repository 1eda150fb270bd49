"""Engines that classify noisy rows; one folder per runtime."""
