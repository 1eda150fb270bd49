"""Eager PyTorch: networks, purifiers, losses, recipes, checkpoints."""
