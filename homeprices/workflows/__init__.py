"""The steps that DAGs and people run. All input and output is composed here."""
