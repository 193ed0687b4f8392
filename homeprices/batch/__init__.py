"""Estimates for whole files in the bucket: planned once, scored a partition at a time, counted at the end.

Values come through the same door as in serving (`homeprices.pricing`); pyarrow lives here, and serving never sees it.
"""
