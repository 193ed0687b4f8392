"""Backup of the bucket from inside a container: `create`, `save` (tar to standard output), `load` (tar from input).

`load` restores exactly the objects of the archive. It deletes the other objects last, so that a broken transfer loses
nothing.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Callable
from typing import BinaryIO

from homeprices.adapters.object_store import Bucket, open_bucket
from homeprices.errors import HomePricesError
from homeprices.settings import load_settings


def save(bucket: Bucket, target: BinaryIO) -> int:
    """Write every object to a tar stream; return their number."""
    count = 0
    with tarfile.open(fileobj=target, mode="w|") as archive:
        for entry in bucket.list(""):
            body = bucket.get(entry.key).body
            member = tarfile.TarInfo(entry.key)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
            count += 1
    return count


def load(bucket: Bucket, source: BinaryIO) -> int:
    """Replace the bucket's objects by those of a tar stream; return their number."""
    kept: set[str] = set()
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            body = archive.extractfile(member)
            if body is not None:
                bucket.put(member.name, body.read())
                kept.add(member.name)
    for entry in list(bucket.list("")):
        if entry.key not in kept:
            bucket.delete(entry.key)
    return len(kept)


def main(arguments: list[str]) -> int:
    """Run the command line."""
    streams: dict[str, Callable[[Bucket], int]] = {
        "save": lambda bucket: save(bucket, sys.stdout.buffer),
        "load": lambda bucket: load(bucket, sys.stdin.buffer),
    }
    if len(arguments) != 1 or arguments[0] not in {"create", *streams}:
        print("usage: python -m compose.bucket create | save | load", file=sys.stderr)
        return 2
    try:
        bucket = open_bucket(load_settings())
        if arguments[0] == "create":
            bucket.create()
            print(f"bucket {bucket.name} is there", file=sys.stderr)
        else:
            count = streams[arguments[0]](bucket)
            print(f"bucket {bucket.name}: {arguments[0]} of {count} objects", file=sys.stderr)
    except (HomePricesError, OSError, tarfile.TarError) as error:
        print(f"bucket: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
