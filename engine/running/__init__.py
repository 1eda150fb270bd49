"""A plan and images in, a run directory out."""
