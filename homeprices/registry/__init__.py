"""The registry in the bucket: datasets and bundles, each under an immutable version."""
