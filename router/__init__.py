"""The way in: Nginx that splits visitors between production and candidate, and the agent that keeps it so."""
