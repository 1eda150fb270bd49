"""torch modules in, plan directory out."""
