"""One fitted model, from rows to an ONNX graph. scikit-learn is imported here and in `training` only."""
