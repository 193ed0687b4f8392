"""The prediction log: what was asked, what was answered, and what the visitors said of it.

An answer that carries a prediction id is on disk before it is sent (`spool`), and in PostgreSQL soon after (`drain`).
Serving writes it; the experiment, drift and the operators' pages read it through `queries`.
"""
