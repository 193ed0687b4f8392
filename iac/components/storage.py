"""A private bucket: versioned, encrypted, TLS only, with lifecycle rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from iac import policies

NONCURRENT_DAYS = 30
"""The days in which an overwritten or deleted object can be restored."""

DATA_RULES: tuple[Mapping[str, Any], ...] = (
    # Archived candidates are read for a month, and then only kept as a record.
    {
        "id": "archive",
        "filter": {"prefix": "archive/"},
        "transitions": [
            {"days": 30, "storage_class": "STANDARD_IA"},
            {"days": 180, "storage_class": "GLACIER_IR"},
        ],
    },
    {"id": "airflow-logs", "filter": {"prefix": "airflow-logs/"}, "expiration": {"days": 90}},
    {"id": "staging", "filter": {"prefix": "staging/"}, "expiration": {"days": 14}},
)
ACCESS_LOG_RULES: tuple[Mapping[str, Any], ...] = (
    {"id": "access-logs", "filter": {"prefix": ""}, "expiration": {"days": 90}},
)


@dataclass(frozen=True)
class PrivateBucketArgs:
    """The bucket's name, lifecycle rules, and policy statements besides "TLS only"; `protect`: deletion is blocked."""

    bucket: str
    protect: bool
    rules: Sequence[Mapping[str, Any]] = ()
    statements: Sequence[policies.Statement] = field(default=())
    access_log_bucket: str | None = None


class PrivateBucket(pulumi.ComponentResource):
    """A bucket without public access: only the account's own policies grant access."""

    bucket: pulumi.Output[str]

    def __init__(self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:PrivateBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        kept = pulumi.ResourceOptions(parent=self, protect=args.protect)
        bucket = aws.s3.Bucket(name, bucket=args.bucket, force_destroy=not args.protect, opts=kept)
        self.bucket = bucket.bucket
        aws.s3.BucketVersioning(name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=child)
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
        )
        private = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=pulumi.Output.json_dumps(
                policies.document(policies.only_tls(f"arn:aws:s3:::{args.bucket}"), *args.statements)
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private]),
        )
        self._tidy(name, bucket, args.rules)
        if args.access_log_bucket:
            aws.s3.BucketLogging(
                name, bucket=bucket.id, target_bucket=args.access_log_bucket, target_prefix="bucket/", opts=child
            )
        self.register_outputs({"bucket": self.bucket})

    def _tidy(self, name: str, bucket: aws.s3.Bucket, rules: Sequence[Mapping[str, Any]]) -> None:
        always = {
            "id": "leftovers",
            "filter": {"prefix": ""},
            "noncurrent_version_expiration": {"noncurrent_days": NONCURRENT_DAYS},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
        }
        enabled: list[Any] = [{**rule, "status": "Enabled"} for rule in (always, *rules)]
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=enabled,
            opts=pulumi.ResourceOptions(parent=self),
        )
