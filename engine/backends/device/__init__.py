"""Graphs whose whole loop (noise, network, votes) stays on one device."""
