"""API keys: their format, the key ring in the bucket, its local copy, the check of a request's key, and their use."""
