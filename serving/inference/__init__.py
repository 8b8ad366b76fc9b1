"""A loaded model: the ONNX session, its execution providers, worker threads, explanations."""
