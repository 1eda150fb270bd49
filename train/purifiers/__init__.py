"""Purifier families, one file each: what turns a noisy image into a clean one at a known noise level."""
