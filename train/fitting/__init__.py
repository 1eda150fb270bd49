"""The training loop and the images that it sees."""
