"""What a worker is made of; imports no routes."""
