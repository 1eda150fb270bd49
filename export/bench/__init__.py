"""How fast is a plan here, beside the eager loop: what `engine-bench` measures."""
