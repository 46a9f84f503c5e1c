"""The network as other runtimes take it: ONNX, OpenVINO, Torch-TensorRT."""
