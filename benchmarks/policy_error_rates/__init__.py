"""Error rates of the decision policies and of rival rules, measured by simulation."""
