"""A loaded model: the ONNX session, its execution providers, explanations."""
