"""Compiled graphs whose whole loop (noise, network, votes) stays on one device: a GPU, or the host's processors."""
