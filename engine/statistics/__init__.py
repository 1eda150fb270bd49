"""What do counts prove: bounds, radii, and how many claims may be false."""
