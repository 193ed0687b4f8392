"""The contents of the built images."""

from __future__ import annotations

import sys

from local.stack import git_revision
from tests.compose.compose_stack import ROOT, ComposeStack
from tests.compose.conftest import OWN

INFERENCE_LIMIT_BYTES = 400 * 2**20
REVISION = git_revision(ROOT)
NEVER_IN_SERVING = ("airflow", "mlflow", "sklearn", "pandas", "scipy", "pyarrow")


def test_the_serving_image_is_small_and_cannot_train(stack: ComposeStack) -> None:
    sizes = {
        name: int(stack.run("docker", "image", "inspect", "-f", "{{.Size}}", name).stdout)
        for name in ("homeprices-inference:local", stack.environ["PYTHON_IMAGE"])
    }
    image, base = sizes.values()
    assert image - base < INFERENCE_LIMIT_BYTES
    look = f"import importlib.util as u; print([n for n in {NEVER_IN_SERVING} if u.find_spec(n)])"
    found = stack.run("docker", "run", "--rm", "--entrypoint", "python", "homeprices-inference:local", "-c", look)
    assert found.stdout.strip() == "[]"


def test_no_image_holds_a_secret(stack: ComposeStack) -> None:
    said = stack.run(sys.executable, "-m", "compose.scan_images", *(f"homeprices-{n}:local" for n in OWN), seconds=900)
    assert said.stdout.count(": holds no secret") == len(OWN)


def test_every_image_says_which_commit_it_was_built_from(stack: ComposeStack) -> None:
    form = '{{index .Config.Labels "org.opencontainers.image.revision"}}'
    for name in OWN:
        assert (
            stack.run("docker", "image", "inspect", "-f", form, f"homeprices-{name}:local").stdout.strip() == REVISION
        )
