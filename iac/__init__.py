"""The stack on AWS, as a Pulumi program. `iac/README.md` says what it costs and how it is run."""
