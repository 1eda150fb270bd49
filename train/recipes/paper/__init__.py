"""Recipes of Consistency Purification and what it is compared with: stages that stand on each other."""
