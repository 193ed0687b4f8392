"""The whole stack on one machine without Docker: every component is a real server, installed from a wheel."""
