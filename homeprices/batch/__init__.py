"""Batch scoring of files in the bucket: a job is planned once, scored partition by partition, and summed up at the end.

Values are validated by the same code as in serving (`homeprices.pricing`).
"""
