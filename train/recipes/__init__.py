"""Trainings with every number of theirs, one recipe a file."""
