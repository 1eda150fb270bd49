"""Timing of backends through their public interface: what a row measures, when it counts, and how it is shown."""
