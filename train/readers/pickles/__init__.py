"""Pickles taken as data: nothing that a file names is ever run."""
