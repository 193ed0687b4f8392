"""The listings and the fitted model that tests of models and of training share."""

from tests.integration.training.conftest import distilled, raw, rows, split

__all__ = ["distilled", "raw", "rows", "split"]
