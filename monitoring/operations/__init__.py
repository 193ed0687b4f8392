"""The operations page: the state of the stack as JSON and as a page, stored reports, and actions of a person."""
