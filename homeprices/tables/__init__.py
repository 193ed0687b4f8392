"""Tables of homes as people write them: how a file is read, and what one of its cells means."""
