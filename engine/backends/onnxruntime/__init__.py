"""ONNX Runtime: on the host's processors, on a GPU, and with TensorRT inside it."""
