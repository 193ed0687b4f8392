"""The HTTP interface: routes, media types, and the OpenAPI document."""
