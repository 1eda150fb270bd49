"""Recipes of rRCM: a network that learns without labels, then a classifier at one noise level."""
