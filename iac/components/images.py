"""An ECR repository for each image, with immutable tags and a scan on push."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from iac.stack_names import StackNames

KEPT = 30
"""The number of kept releases, to which a rollback is possible."""


@dataclass(frozen=True)
class ImagesArgs:
    """The images' names; `protect`: a repository with images cannot be deleted."""

    names: StackNames
    images: tuple[str, ...]
    protect: bool


class Images(pulumi.ComponentResource):
    """The repositories; `urls` has the address of each by image name."""

    urls: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Images", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.urls = {}
        for image in args.images:
            repository = aws.ecr.Repository(
                f"{name}-{image}",
                name=args.names.repository(image),
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration={"scan_on_push": True},
                encryption_configurations=[{"encryption_type": "AES256"}],
                force_delete=not args.protect,
                opts=child,
            )
            aws.ecr.LifecyclePolicy(
                f"{name}-{image}", repository=repository.name, policy=json.dumps(_lifecycle()), opts=child
            )
            self.urls[image] = repository.repository_url
        self.register_outputs({"urls": self.urls})


def _lifecycle() -> dict[str, object]:
    # Only tags count: an image's platforms, provenance and signatures have none, and must stay as long as the image.
    # Tags are immutable, so an image never loses its own.
    newest = {"tagStatus": "tagged", "tagPatternList": ["*"], "countType": "imageCountMoreThan", "countNumber": KEPT}
    rule = {"rulePriority": 1, "description": "old releases", "selection": newest, "action": {"type": "expire"}}
    return {"rules": [rule]}
