"""A backup restores the stored data on another machine."""

from __future__ import annotations

import time
from pathlib import Path

from tests.compose.compose_stack import PROJECT, ComposeStack, seconds_since
from tests.e2e.visitors import Visitors


def test_a_backup_is_restored_into_an_empty_stack(
    stack: ComposeStack, figures: dict[str, object], tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    started = time.monotonic()
    stack.run("sh", "compose/backup.sh", str(backup), seconds=300)
    figures["backup_seconds"] = seconds_since(started)
    assert {p.name for p in backup.iterdir()} == {
        "airflow.dump",
        "mlflow.dump",
        "homeprices.dump",
        "bucket.tar",
        "SHA256SUMS",
    }
    assert {p.stat().st_mode & 0o077 for p in backup.iterdir()} == {0}
    before = (
        stack.logged(),
        stack.keys(),
        stack.sql("select count(*) from dag_run where state = 'success'", "airflow"),
    )
    stack.down("--volumes")
    assert not stack.run(
        "docker", "volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}"
    ).stdout
    started = time.monotonic()
    stack.run("sh", "compose/restore.sh", str(backup), seconds=900)
    stack.wait_until_healthy()
    figures["restore_to_all_healthy_seconds"] = seconds_since(started)
    assert (stack.logged(), models(stack.keys())) == (before[0], models(before[1]))
    assert stack.sql(f"select count(*) >= {before[2][0][0]} from dag_run where state = 'success'", "airflow") == [["t"]]
    stack.wait(lambda: stack.served("INFER_PROD") == "BO2", 60, "BO2 in production")
    visitors = Visitors(stack.url("ROUTER"), stars=lambda _: 4)
    visitors.visit()
    assert visitors.tally.failures == [] and len(visitors.tally.rated) == 1


def test_a_backup_that_was_altered_is_refused_before_anything_is_touched(stack: ComposeStack, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    stack.run("sh", "compose/backup.sh", str(backup), seconds=300)
    with (backup / "homeprices.dump").open("ab") as dump:
        dump.write(b"x")
    logged = stack.logged()
    assert stack.run("sh", "compose/restore.sh", str(backup), check=False).returncode != 0
    assert stack.logged() == logged and stack.ill() == []


def models(keys: list[str]) -> list[str]:
    """Return the keys of bundles and datasets; task logs keep changing."""
    return [key for key in keys if key.startswith(("models/", "archive/", "claims/", "data/", "control/"))]
