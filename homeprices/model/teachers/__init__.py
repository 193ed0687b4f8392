"""Teachers of the distilled model that need no feature matrix."""
