"""What `pulumi up` runs: the configuration in, the parts wired, the outputs out."""

import sys
from pathlib import Path

import pulumi

# Pulumi starts this folder as a program; the project is its parent.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from iac import config
from iac.stack import Stack

for name, value in Stack(*config.load()).outputs.items():
    pulumi.export(name, value)
