"""The stack on AWS, as a Pulumi program. `iac/README.md` has the commands, `iac/cost.md` the costs."""
