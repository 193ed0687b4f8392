"""The stack on AWS, as a Pulumi program. `iac/README.md` has the costs and the commands."""
