"""Process supervision: start, probe, restart and stop the services of a stack."""
