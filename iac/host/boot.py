"""The script of the instance's first start: data volume, Docker, the program that installs a release."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from iac.stack_names import StackNames

DATA_DEVICE = "/dev/sdf"
FOLDER = Path(__file__).parent
LIMIT_BYTES = 16_384
"""EC2's limit of user data."""


def boot_script(names: StackNames, environment: Mapping[str, str], secret_arns: Mapping[str, str]) -> str:
    """Return the script with the settings of the release program. It has the ARNs of secrets, not their values.

    Raises ValueError for a script that exceeds EC2's limit.
    """
    known = {
        "AWS_REGION": names.region,
        "BUCKET": names.bucket,
        "REGISTRY": f"{names.account}.dkr.ecr.{names.region}.amazonaws.com",
        "REPOSITORIES": names.prefix,
        **{f"SECRET_{name.upper()}": arn for name, arn in secret_arns.items()},
    }
    script = (
        (FOLDER / "boot.sh")
        .read_text()
        .replace("{{device}}", DATA_DEVICE)
        .replace("{{release}}", (FOLDER / "release.sh").read_text().rstrip())
        .replace("{{known}}", _assignments(known))
        .replace("{{environment}}", _dotenv(environment))
    )
    if len(script.encode()) > LIMIT_BYTES:
        raise ValueError(f"the boot script has {len(script.encode())} bytes; EC2 takes {LIMIT_BYTES}")
    return script


def _assignments(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={shlex.quote(value)}" for name, value in values.items())


def _dotenv(values: Mapping[str, str]) -> str:
    """Return lines of an `.env` that Compose reads literally: it expands nothing in single quotes."""
    wrong = [name for name, value in values.items() if "'" in value or "\n" in value]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: a value for Compose may hold neither a quote nor a line break")
    return "\n".join(f"{name}='{value}'" for name, value in values.items())
