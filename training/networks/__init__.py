"""Networks: architectures, pretrained weights, export to ONNX."""
