"""TensorRT and TensorRT-RTX: engines from a plan's ONNX graphs, checked after the build, without torch or onnx."""
