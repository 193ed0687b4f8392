"""The servers of the stack, each as the supervisor starts it."""
