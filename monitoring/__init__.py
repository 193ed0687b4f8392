"""Monitoring of the stack: recording rules, alerts, dashboards, and an exporter for what no service exports itself."""
