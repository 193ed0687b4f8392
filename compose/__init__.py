"""Helper programs of the compose files: health checks, the first run, the bucket, secrets, and image scans."""
