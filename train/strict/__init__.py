"""Configurations and weights that must fit exactly, key by key."""
