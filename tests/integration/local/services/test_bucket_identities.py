"""Each service's key does in a real SeaweedFS what the service needs, and nothing that its policy does not name."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from compose.bucket_rights import DELETE, OWNER, READ, RIGHTS, WRITE, identities
from homeprices.adapters.object_store import S3Bucket
from homeprices.keys import key_ring
from homeprices.names import BundleKind
from homeprices.registry import bundle_publisher, bundle_reader, datasets
from homeprices.release import control_record, holds, promotion
from homeprices.release.traffic_counts import PREFIX as TRAFFIC
from local.ports import LOOPBACK
from local.services.seaweedfs import seaweedfs
from monitoring.exporter.bucket_collector import BucketCollector
from monitoring.operations.bucket_parts import BucketParts
from monitoring.operations.stored_pages import StoredPages
from tests.support.bundles import make_draft
from tests.support.servers import MAX_VOLUMES, clean_environment, open_s3, running, seaweed_ports

BUCKET = "homeprices"
KEYS = {name: (f"homeprices-{name}", f"secret-of-{name}") for name in (OWNER, *RIGHTS)}
EXAMPLES = [
    "data/raw/train_V1.csv", "claims/BO1.json", "staging/run/draft.json", "models/price_check_BO1/manifest.json",
    "archive/price_check_CO1/manifest.json", "control/experiment.json", "control/hold.json", "batch/job/rows.csv",
    "reports/drift/now/production.html", "reports/runs/one.html", "notices/one.json", "traffic/2026-01-01/router.json",
    "mlflow/1/run/artifacts/model.onnx", "airflow-logs/dag.log", "elsewhere.txt",
]  # fmt: skip
"""A key for each line of the bucket's contract (documentations/architecture.md)."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with one user for each service, and a bucket with an object under each prefix."""
    home, ports = tmp_path_factory.mktemp("identities"), seaweed_ports()
    with ExitStack() as stack:
        for service in seaweedfs(
            home / "s3", ports, json.dumps(identities(BUCKET, KEYS)), clean_environment(), MAX_VOLUMES
        ):
            stack.enter_context(running(service, home / f"{service.name}.log"))
        url = f"http://{LOOPBACK}:{ports.s3}"
        owner = bucket_of(url, OWNER)
        owner.create()
        client(url, OWNER).create_bucket(Bucket="of-others")
        for key in EXAMPLES:
            owner.put(key, b"before")
            client(url, OWNER).put_object(Bucket="of-others", Key=key, Body=b"before")
        yield url


def bucket_of(url: str, name: str) -> S3Bucket:
    access_key, secret_key = KEYS[name]
    return open_s3(
        {
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_DEFAULT_REGION": "ap-south-1",
            "MLFLOW_S3_BUCKET": BUCKET,
        }
    )


def client(url: str, name: str) -> Any:
    access_key, secret_key = KEYS[name]
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=access_key, aws_secret_access_key=secret_key,
        region_name="ap-south-1", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def allows(name: str, action: str, key: str) -> bool:
    return any(action in grant.actions and key.startswith(grant.prefixes) for grant in RIGHTS[name].grants)


def is_done(call: Any, **arguments: Any) -> bool:
    """Whether the server does what is asked; any refusal but 403 fails the test."""
    try:
        call(**arguments)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status == 403, f"{arguments}: {error}"
        return False
    return True


@pytest.mark.parametrize("name", RIGHTS)
def test_a_key_reads_writes_and_deletes_what_its_policy_names_and_nothing_else(endpoint: str, name: str) -> None:
    s3 = client(endpoint, name)
    for key in EXAMPLES:
        where = {"Bucket": BUCKET, "Key": key}
        assert is_done(s3.get_object, **where) == allows(name, READ, key), f"read {key}"
        assert is_done(s3.head_object, **where) == allows(name, READ, key), f"head {key}"
        assert is_done(s3.put_object, **where, Body=b"after") == allows(name, WRITE, key), f"write {key}"
        assert is_done(s3.create_multipart_upload, **where) == allows(name, WRITE, key), f"upload {key}"
        assert is_done(s3.delete_object, **where) == allows(name, DELETE, key), f"delete {key}"
        client(endpoint, OWNER).put_object(**where, Body=b"before")


def test_the_pipeline_lifts_a_hold_that_airflow_was_asked_to_lift(endpoint: str) -> None:
    bucket = bucket_of(endpoint, "pipeline")
    bucket_of(endpoint, OWNER).delete(holds.KEY)
    for version, key in (("BO1", holds.KEY), (holds.SHADOW, holds.SHADOW_KEY)):
        assert holds.set_hold(bucket, version, "person:ann", "a holiday") == holds.lift(bucket, key)
        assert holds.read(bucket, key) is None


@pytest.mark.parametrize("name", RIGHTS)
def test_a_key_lists_the_prefixes_of_its_policy_and_no_others(endpoint: str, name: str) -> None:
    s3 = client(endpoint, name)
    for key in ["", *EXAMPLES]:
        prefix = key.rpartition("/")[0] + "/" if "/" in key else ""
        listed = prefix.startswith(RIGHTS[name].listed)
        assert is_done(s3.list_objects_v2, Bucket=BUCKET, Prefix=prefix) == listed, prefix
        assert is_done(s3.list_objects, Bucket=BUCKET, Prefix=prefix) == listed, prefix
    assert not is_done(s3.list_objects_v2, Bucket=BUCKET)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"] if bucket["Name"] == "of-others"] == []


@pytest.mark.parametrize("name", RIGHTS)
def test_no_key_copies_what_it_may_not_read_nor_changes_the_bucket_nor_enters_another(endpoint: str, name: str) -> None:
    s3 = client(endpoint, name)
    unreadable = [key for key in EXAMPLES if not allows(name, READ, key)]
    writable = [key for key in EXAMPLES if allows(name, WRITE, key)]
    for source, target in itertools.product(unreadable, writable):
        assert not is_done(s3.copy_object, Bucket=BUCKET, Key=f"{target}.copy", CopySource=f"{BUCKET}/{source}")
    for key in EXAMPLES:
        assert not is_done(s3.get_object, Bucket="of-others", Key=key), key
        assert not is_done(s3.put_object, Bucket="of-others", Key=key, Body=b"x"), key
    left = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "data/raw/train_V1.csv"}]})
    assert [error["Code"] for error in left["Errors"]] == ["AccessDenied"]
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    assert not is_done(s3.put_bucket_policy, Bucket=BUCKET, Policy=policy)
    assert not is_done(s3.put_bucket_acl, Bucket=BUCKET, ACL="public-read-write")
    assert not is_done(s3.create_bucket, Bucket="another")
    assert not is_done(s3.delete_bucket, Bucket="of-others")


def test_every_service_does_its_work_with_its_own_key(endpoint: str, tmp_path: Path) -> None:
    """The code of the services over a trial: import, publish, serve, observe, stop, promote, archive."""
    pipeline, serving = bucket_of(endpoint, "pipeline"), bucket_of(endpoint, "inference")
    owner = bucket_of(endpoint, OWNER)
    for key in EXAMPLES:
        owner.delete(key)
    assert datasets.latest(pipeline) is None
    owner.put("data/batch/homes.csv", b"homes to score")
    assert [pipeline.get(entry.key).body for entry in pipeline.list("data/batch/")] == [b"homes to score"]
    kinds: tuple[BundleKind, ...] = ("BO", "CO")
    for number, kind in enumerate(kinds):
        bundle_publisher.stage(pipeline, f"run-{kind}", make_draft(tmp_path / kind, 1.0 + number))
        assert bundle_publisher.publish(pipeline, f"run-{kind}", kind) == f"{kind}1"
        assert bundle_reader.published(serving, kind) == [f"{kind}1"]
        assert bundle_reader.fetch(serving, f"{kind}1", tmp_path / "cache").is_dir()
    control_record.start_experiment(pipeline, "BO1", "CO1", 20, "tests")
    samples = BucketCollector(bucket_of(endpoint, "exporter")).collect()
    assert [s.value for s in samples if s.name == "homeprices_experiment_running"] == [1.0]
    router = bucket_of(endpoint, "router")
    assert control_record.stop_share(router, "router", "it fails").state == "stopped"
    router.put(f"{TRAFFIC}2026-01-01/router.json", b"{}")
    assert [entry.key for entry in pipeline.list(TRAFFIC)] == [f"{TRAFFIC}2026-01-01/router.json"]
    assert promotion.promote(pipeline, "CO1", lambda _version: None, "tests", "it won") == "BO2"
    assert bundle_reader.published(serving, "CO") == []
    after = BucketCollector(bucket_of(endpoint, "exporter")).collect()
    assert {s.value for s in after if s.name == "homeprices_bundle_number"} == {2.0}
    pipeline.put("reports/drift/2026-03-02T030000/production.html", b"a report")
    key_ring.create(owner, ["operate"], "10/s", timedelta(days=1), "tests")
    observer = bucket_of(endpoint, "exporter")
    observed, now = BucketParts(observer, lambda: datetime(2026, 3, 31, tzinfo=UTC)), "2026-03-02T030000"
    assert (observed.release()["production"], observed.release()["hold"]) == ("BO2", None)
    assert [one["version"] for one in observed.releases()["production"]] == ["BO2", "BO1"]
    assert observed.drift_alerts()["production"] == {"alert": None, "report": now}
    assert StoredPages(observer).drift(now, "production") == b"a report"
    assert len(key_ring.read(observer).keys) == 1
    big = b"x" * (12 << 20)
    tracking = client(endpoint, "mlflow")
    (tmp_path / "big").write_bytes(big)
    tracking.upload_file(str(tmp_path / "big"), BUCKET, "mlflow/1/run/artifacts/big")  # in parts
    assert tracking.get_object(Bucket=BUCKET, Key="mlflow/1/run/artifacts/big")["Body"].read() == big
