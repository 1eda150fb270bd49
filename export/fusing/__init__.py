"""Purifier and classifier at one sigma as one module, with everything constant folded away."""
