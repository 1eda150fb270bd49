"""OpenVINO on the host: the plan's ONNX graph, compiled for this processor when it is opened."""
