"""What the target `host` runs at its first start, and how its compose files differ from those of a developer."""
