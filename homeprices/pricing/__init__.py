"""Pricing of a home in serving: its inputs, the bundle reader and the ONNX predictor.

Imports only numpy, onnxruntime, pydantic and the standard library, so that the serving image stays small. Only
`frame_model`, which serving does not import, needs pandas.
"""
