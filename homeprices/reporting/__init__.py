"""Pages and tables for people: HTML, charts, Markdown."""
