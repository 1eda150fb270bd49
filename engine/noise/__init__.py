"""Which integers are drawn at an address (seed, purpose, image, phase, draw, element)."""
