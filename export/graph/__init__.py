"""One fused module as an exported program and an ONNX graph, and which graphs are refused."""
