"""The target `host`: the script of its first start, and the overrides of its compose files."""
