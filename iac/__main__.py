"""Entry point of `pulumi up`: read the configuration, build the stack, export the outputs."""

import sys
from pathlib import Path

import pulumi

# Pulumi runs this folder as a program, so the project's folder is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from iac import config
from iac.stack import Stack

for name, value in Stack(*config.load()).outputs.items():
    pulumi.export(name, value)
