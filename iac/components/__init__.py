"""The components of the stack, one in each file: a ComponentResource with a frozen class of arguments."""
