"""The whole stack on one machine without Docker: every part is a real server, installed from a wheel."""
