"""One part of the stack a file; each a ComponentResource with its arguments in one frozen class."""
