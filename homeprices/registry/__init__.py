"""What is stored in the bucket, and under which version: datasets and bundles."""
