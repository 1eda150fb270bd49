"""PyTorch: the exported program on the host, or compiled for the host or a GPU."""
