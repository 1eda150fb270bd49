"""Classifiers of transformers: their folders, what those record of the input, and the hub that keeps them."""
