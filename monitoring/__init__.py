"""What watches the stack: rules, alerts, dashboards, and the exporter of what no other part can tell."""
