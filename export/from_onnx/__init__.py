"""How does an ONNX file become a plan? It is read, joined, compared with itself as it was, and never run by PyTorch."""
