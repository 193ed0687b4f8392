"""The prediction log: each prediction with its inputs, and the feedback of visitors.

A response that carries a prediction id is on disk before it is sent (`spool`), and soon after in PostgreSQL (`drain`).
Serving writes the log; experiments, drift detection and operators read it (`log_queries`).
"""
