"""The vision transformer of rRCM, which takes noisy images and their noise level."""
