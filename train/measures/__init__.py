"""What a purifier and its classifier are worth on test images: accuracy, transport, Frechet distance, certificates."""
