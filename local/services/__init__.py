"""Service definitions: the command, environment, ports and readiness probe of each server of the stack."""
