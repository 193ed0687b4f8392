"""From clean listings to a bundle: estimators, cross-validation, export to ONNX, checks. scikit-learn lives here."""
