"""What a plan directory holds: its record, its ONNX bytes, and the cache of what this machine compiled."""
