"""How far two images are from each other: in pixels, in features of a network, as LPIPS."""
