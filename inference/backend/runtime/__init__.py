"""The parts of a worker process. Imports no routes."""
