"""What the containers of the compose files run around the project's own programs."""
