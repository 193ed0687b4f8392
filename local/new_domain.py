"""Makes a copy of the project with an example of another domain applied: `make new-domain NAME=diamonds`.

An example (`examples/NAME`) has the files that replace those of the project or add to them, under the same paths. The
block `text` of its README lists what the copy does without.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = Path("examples")
README = "README.md"
NEXT = """\
cd {folder}
git init --quiet && git add --all     # tests read the list of files from git
make install
make inputs dashboards                # the form, the API document and the dashboards in the words of the domain
make test-unit lint
make up DATASET=path/to/{name}.csv
"""
_DELETED = re.compile(r"^```text\n(.*?)^```$", re.M | re.S)


class Refused(Exception):
    """A copy that is not made; the message says why."""


@dataclass(frozen=True)
class Example:
    """An example: its files, relative to the project, and the patterns of what the copy does without."""

    folder: Path
    files: tuple[str, ...]
    deleted: tuple[str, ...]

    def lines(self) -> int:
        """The lines of its files, its README included."""
        return sum(len((self.folder / name).read_text(encoding="utf-8").splitlines()) for name in (README, *self.files))


@dataclass(frozen=True)
class Copied:
    """What became of a copy: the files that were replaced, added and left out."""

    folder: Path
    replaced: tuple[str, ...]
    added: tuple[str, ...]
    deleted: tuple[str, ...]


def names(root: Path = ROOT) -> list[str]:
    """Return the names of the examples."""
    return sorted(readme.parent.name for readme in (root / EXAMPLES).glob(f"*/{README}"))


def read(name: str, root: Path = ROOT) -> Example:
    """Return an example. Raises Refused that lists the known ones."""
    if name not in names(root):
        raise Refused(f"there is no example {name!r}; available: {', '.join(names(root)) or 'none'}")
    folder = root / EXAMPLES / name
    found = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    files = tuple(file for file in found if file != README and "__pycache__" not in file)
    [block] = _DELETED.findall((folder / README).read_text(encoding="utf-8"))
    return Example(folder, files, tuple(block.split()))


def make(name: str, folder: Path, root: Path = ROOT) -> Copied:
    """Copy the project into `folder` with an example applied. Raises Refused; then nothing is left behind.

    The copy is made beside `folder` and renamed, so that it is there as a whole or not at all.
    """
    example = read(name, root)
    if folder.exists() or folder.is_symlink():
        raise Refused(f"{folder} exists already; name another folder with TO=")
    if not folder.parent.is_dir():
        raise Refused(f"{folder.parent} is no folder, so {folder.name} cannot be made in it")
    kept, deleted = _divided(_project_files(root), example.deleted)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for file in kept:
            _copy(root / file, unfinished / file)
        replaced = tuple(file for file in example.files if (unfinished / file).exists())
        for file in example.files:
            _copy(example.folder / file, unfinished / file)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return Copied(folder, replaced, tuple(sorted({*example.files} - {*replaced})), deleted)


def _project_files(root: Path) -> list[str]:
    """The files of the project, those that git does not know yet too, without the examples."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise Refused(f"the files of {root} are not known, because git does not list them: {detail.strip()}") from None
    files = [file for file in listed.split("\0") if file and not file.startswith(f"{EXAMPLES}/")]
    return [file for file in files if (root / file).is_file()]


def _divided(files: Sequence[str], patterns: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The files that stay, and those that a pattern names: a file, a folder (`tests/x/`), or a glob in one folder."""
    deleted: set[str] = set()
    for pattern in patterns:
        if pattern.endswith("/"):
            found = [file for file in files if file.startswith(pattern)]
        else:
            form = re.compile("[^/]*".join(map(re.escape, pattern.split("*"))))
            found = [file for file in files if form.fullmatch(file)]
        if not found:
            raise Refused(f"the example leaves out {pattern}, which is not in the project any more")
        deleted.update(found)
    return [file for file in files if file not in deleted], tuple(sorted(deleted))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a copy and say what was replaced and what to run next; 2 when none is made."""
    parser = argparse.ArgumentParser(prog="python -m local.new_domain", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", help=f"an example: {', '.join(names())}")
    parser.add_argument("folder", nargs="?", type=Path, help="where the copy goes; default: beside this folder")
    options = parser.parse_args(arguments)
    folder = (options.folder or ROOT.parent / options.name).absolute()
    try:
        done = make(options.name, folder)
    except Refused as error:
        print(f"new-domain: {error}", file=sys.stderr)
        return 2
    for what, files in (("replaced", done.replaced), ("added", done.added)):
        print(f"{what}:", *files, sep="\n  ")
    print(f"left out: {len(done.deleted)} files, which examples/{options.name}/{README} lists\n\nnext:")
    print("".join(f"  {line}\n" for line in NEXT.format(folder=folder, name=options.name).splitlines()), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
