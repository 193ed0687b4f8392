"""The router: Nginx splits visitors between production and candidate; an agent keeps its configuration up to date."""
