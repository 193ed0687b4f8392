"""The whole loop through a real scheduler: empty bucket → BO1 → CO1 → visitors → BO2; a worse CO2 → rollback → CO3.

Then CO3 wins in one place and is taken back there, and others go through the ramp: one is harmed in it, one wins, and
one harms a region. Another is stopped in shadow. The tests of this module run in order on one stack.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import text

from homeprices.data import synthetic
from homeprices.registry import bundle_publisher, bundle_reader, regional_record
from homeprices.release import candidate_queue, control_record, promotion
from homeprices.workflows import manual_actions
from homeprices.workflows.candidates import trial_places
from local.supervision import status_board
from tests.e2e import doors
from tests.e2e.evidence import (
    ENOUGH_ANSWERS,
    MOST_VISITS,
    last_decision,
    logged,
    sent,
    visit_until_enough,
    wait_for_epoch,
)
from tests.e2e.reader import Reader
from tests.e2e.running_stack import ROOT, TRAINING_SECONDS, RunningStack, port_offset, wait_until
from tests.e2e.visitors import HOME, Visitors
from tests.support import document_blocks, notebook
from tests.support.bundles import make_draft
from tests.support.document_blocks import Block
from tests.support.fake_servers import Hook, webhook
from tests.support.programs import CURL, GIT, REAL_LISTINGS

PIPELINE = "bangalore_home_prices_pipeline"
DRIFTING_VISITORS = 160  # four fifths of them meet production, where a drift of 100 homes asks for a new model
RAMP_ANSWERS = 20  # of the candidate in the first step
LISTINGS = 3000

WITH_A_RAMP = """
schema_version: 2
rule: sequential
name: with-a-ramp
version: 1
least_duration: P0D
burst: null
year: null
ramp: [{share: 5, least_exposures: 15, least_duration: PT0S}, 20]
segments: {rated_visitors: 15, expected_visitors: 100}
"""

pytestmark = pytest.mark.timeout(3000)


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    """A server that receives the stack's notifications."""
    with webhook() as listening:
        yield listening


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy of the stack, which each look reads: first the published rule, which decides on few visitors."""
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text((ROOT / "homeprices/experiment/policies/composite.yaml").read_text())
    return file


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, hook: Hook, policy: Path) -> Iterator[RunningStack]:
    """A stack in a folder of its own, on ports of its own."""
    running = RunningStack(tmp_path_factory.mktemp("stack"), port_offset("loop"), HOMEPRICES_POLICY=str(policy))
    running.environ["SLACK_WEBHOOK_URL"] = hook.url
    running.environ["DATASET"] = str(synthetic_listings(tmp_path_factory.mktemp("listings"), seed=7))
    try:
        running.up()
        running.connect()
        yield running
    finally:
        running.close()
        running.local("down")


def test_up_leaves_a_first_model_and_a_candidate_before_visitors(stack: RunningStack) -> None:
    assert stack.health("production")["model_version"] == "BO1"
    assert stack.health("candidate")["model_version"] == "CO1"
    wait_until(
        lambda: control_record.read(stack.resources.bucket).state == "running", 60, "the start of the experiment"
    )
    record = control_record.read(stack.resources.bucket)
    assert (record.state, record.production, record.candidate, record.share) == ("running", "BO1", "CO1", 20.0)


def test_a_running_stack_listens_on_loopback_on_the_ports_of_its_list_and_no_others(stack: RunningStack) -> None:
    expected = set(stack.ports.every.values())
    if shutil.which("prometheus") is None:
        expected -= {stack.ports["prometheus"]}
    assert doors.listening(stack.folder) == {("127.0.0.1", port) for port in expected}


def test_nothing_of_a_running_stack_is_outside_its_folder_or_open_to_other_users(stack: RunningStack) -> None:
    assert doors.unix_sockets_outside(stack.folder) == []
    assert doors.files_written_outside(stack.folder) == []
    assert doors.open_to_others(stack.folder) == []
    assert doors.read_by_a_stranger(stack.folder) == []


def test_a_bundle_names_the_state_of_the_code_that_made_it(stack: RunningStack) -> None:
    manifest = json.loads(stack.resources.bucket.get("models/price_check_BO1/manifest.json").body)
    head = ""
    if GIT.find():
        command = ["git", "rev-parse", "HEAD"]
        head = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    assert manifest["git_revision"].removesuffix("-dirty") == (head or "unknown")


@pytest.fixture(scope="module")
def reader(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A person who types what the documents say, with the files that they name, after the first decision."""
    stack.evaluate()
    return Reader(stack, tmp_path_factory.mktemp("reader"))


@CURL.mark
@pytest.mark.parametrize("block", document_blocks.on_a_stack(), ids=str)
def test_the_commands_of_the_documents_work_as_written(reader: Reader, block: Block) -> None:
    done = reader.runs(block)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_better_candidate_is_promoted_live_without_a_failed_request(stack: RunningStack) -> None:
    workers_before = serving_processes(stack)
    visitors = Visitors(stack.router, stars=lambda variant: 5 if variant == "candidate" else 3)
    visit_until_enough(stack, visitors, "CO1")
    with visitors.coming() as tally:
        stack.evaluate()
        outcome, reason = last_decision(stack)
        assert outcome == "promote", f"{reason} {tally}"
        wait_until(lambda: stack.health("production")["model_version"] == "BO2", 60, "BO2 in production")
        wait_until(lambda: tally.answers["production BO2"] > 20, 60, "answers of BO2")
    assert tally.failures == []
    assert serving_processes(stack) == workers_before, "the services swapped the model without a restart"
    assert bundle_reader.highest(stack.resources.bucket, "CO") is None
    assert stack.resources.bucket.exists("archive/price_check_CO1/manifest.json")
    assert control_record.read(stack.resources.bucket).state == "idle"


def test_the_operations_page_shows_the_promotion_and_reads_every_part(stack: RunningStack) -> None:
    form = f"http://127.0.0.1:{stack.resources.settings.frontend_port}"
    for address in (stack.router, form):
        parts = httpx.get(f"{address}/api/status", timeout=30).json()["parts"]
        assert [name for name, part in parts.items() if "unavailable" in part] == []
        assert [one["version"] for one in parts["releases"]["production"]] == ["BO2", "BO1"]
        decided = parts["decisions"]["published"]["BO2"]["decision"]
        assert parts["experiment"]["look"]["chart"] == "rating", "the policy of this stack compares means"
        for page in ("", f"/decisions/{decided}", f"/decisions/{decided}/rating.svg", "/validation/BO2"):
            assert httpx.get(f"{address}/operations{page}", timeout=30).status_code == 200, page
    assert "releases     BO1 -> BO2" in stack.local("status").stdout


def test_airflow_shows_what_became_of_each_run(stack: RunningStack) -> None:
    trained = {run["note"] for run in stack.airflow.runs(PIPELINE) if run["state"] == "success"}
    assert {"published BO1, which is in production", "published CO1, which is on trial"} <= trained
    evaluated = [run["note"] for run in stack.airflow.runs("evaluate_ab_dag") if run["state"] == "success"]
    assert [note for note in evaluated if note.startswith("CO1 is in production as BO2: CO1 (5.00 stars")]


def test_the_decision_is_on_record_with_its_evidence(stack: RunningStack) -> None:
    with stack.resources.engine.connect() as connection:
        rows = connection.execute(text("select * from ab_decisions where outcome = 'promote'")).mappings().all()
    assert [(r["production"], r["candidate"], r["result_version"]) for r in rows] == [("BO1", "CO1", "BO2")]
    assert rows[0]["evidence"]["candidate"]["requests"] >= 50
    assert "1.05" in rows[0]["reason"]


def test_every_answer_and_rating_that_visitors_got_is_in_the_log(stack: RunningStack) -> None:
    visitors = Visitors(stack.router, stars=lambda _: 4)
    for _ in range(20):
        visitors.visit()
    assert visitors.tally.predicted == visitors.tally.rated and len(visitors.tally.rated) == 20
    wait_until(lambda: logged(stack, visitors) >= (20, 20), 30, "20 predictions and 20 ratings in the log")
    assert logged(stack, visitors) == (20, 20), "each once"


def test_the_notebook_runs_as_it_is_and_shows_no_secret(stack: RunningStack) -> None:
    done = notebook.run(ROOT / "documentations/notebooks/bangalore_home_prices.ipynb", stack.tool_environ)
    texts = [json.dumps(cell.outputs) for cell in done.cells if cell.cell_type == "code"]
    assert any("BO2" in text for text in texts)
    secret = stack.tool_environ["AWS_SECRET_ACCESS_KEY"]
    assert secret and not any(secret in text for text in texts)


def test_a_candidate_that_equals_production_is_not_published(stack: RunningStack) -> None:
    """The end of the experiment requests a candidate; the same data give the model that was just promoted."""
    run = wait_until(lambda: after_training(stack), TRAINING_SECONDS, "the end of the run that the promotion asked for")
    stack.wait_for_run(PIPELINE, run)
    assert bundle_reader.highest(stack.resources.bucket, "CO") is None
    states = {t["task_id"]: t["state"] for t in stack.airflow.tasks(PIPELINE, run)}
    assert (states["publish_bundle"], states["start_experiment"]) == ("success", "skipped")
    assert stack.airflow.run(PIPELINE, run)["note"].startswith("nothing published: ")


def test_a_new_dataset_brings_a_new_candidate(stack: RunningStack, tmp_path: Path) -> None:
    import_listings(stack, real_listings(tmp_path) if REAL_LISTINGS.exists() else synthetic_listings(tmp_path, seed=99))
    assert stack.resources.bucket.exists("data/raw/train_V2.csv")
    stack.wait_for_version("candidate", "CO2")
    wait_until(lambda: control_record.read(stack.resources.bucket).candidate == "CO2", 120, "CO2 before visitors")


def test_a_worse_candidate_is_rolled_back(stack: RunningStack) -> None:
    visitors = Visitors(stack.router, stars=lambda variant: 1 if variant == "candidate" else 5)
    visit_until_enough(stack, visitors, "CO2")
    with visitors.coming() as tally:
        stack.evaluate()
        outcome, reason = last_decision(stack)
        assert outcome == "rollback", f"{reason} {tally}"
        assert stack.resources.bucket.exists("archive/price_check_CO2/manifest.json")
    assert tally.failures == []
    assert stack.health("production")["model_version"] == "BO2"


def test_the_next_one_waits_for_new_data_because_the_same_data_give_the_model_that_lost(
    stack: RunningStack, tmp_path: Path
) -> None:
    run = wait_until(
        lambda: ended_trainings(stack, 5), TRAINING_SECONDS, "the end of the run that the rollback asked for"
    )
    stack.wait_for_run(PIPELINE, run)
    assert bundle_reader.highest(stack.resources.bucket, "CO") is None
    import_listings(stack, synthetic_listings(tmp_path, seed=100))
    stack.wait_for_version("candidate", "CO3")


def test_a_service_that_is_killed_is_started_again_and_status_says_so(stack: RunningStack) -> None:
    before = status_board.read(stack.folder / "status.json")
    assert before is not None
    psutil.Process(before.services["infer-cand"].pid).kill()

    def again() -> bool:
        now = status_board.read(stack.folder / "status.json")
        entry = now.services["infer-cand"] if now else None
        return entry is not None and entry.restarts >= 1 and entry.phase is status_board.Phase.READY

    wait_until(again, 30, "infer-cand started again, although its workers had held its port")
    wait_until(lambda: stack.health("candidate")["model_version"] == "CO3", 60, "CO3 served again")
    assert re.search(r"infer-cand +ready", stack.local("status").stdout)


def test_visitors_who_ask_for_other_homes_are_noticed_once_and_start_one_training(
    stack: RunningStack, hook: Hook
) -> None:
    """Checks report, metric, notification and requested training of a drift, and that a second check adds nothing."""
    visitors = Visitors(stack.router, stars=lambda _: 3)
    for number in range(DRIFTING_VISITORS):
        visitors.visit({"total_sqft": 6000 + 10 * number, "location": "Whitefield", "bhk": 5, "bath": 5})
    wait_until(lambda: logged(stack, visitors)[0] == DRIFTING_VISITORS, 60, "the visits in the log")
    runs = {run["dag_run_id"] for run in stack.airflow.runs(PIPELINE)}
    stack.wait_for_run("drift_monitoring_dag", stack.airflow.trigger("drift_monitoring_dag"))
    report = httpx.get(f"{stack.resources.settings.replica_urls('production')[0]}/api/drift_report", timeout=60).json()
    assert (report["status"], report["overall_drift_detected"]) == ("ok", True)
    assert report["drift_indicators"]["total_sqft"]["significant_drift"] is True
    exporter = f"http://127.0.0.1:{stack.resources.settings.exporter_port}/metrics"
    told = 'homeprices_drift_detected{variant="production"} 1.0'
    wait_until(lambda: told in httpx.get(exporter, timeout=60).text, 120, "the metric of the drift")
    assert [key.key for key in stack.resources.bucket.list("reports/drift/") if key.key.endswith("/production.html")]
    wait_until(lambda: asked_by_drift(stack) - runs, 120, "the run of the pipeline that the drift asked for")
    assert notices(hook).count("Drift begins: visitors of production") == 1
    stack.wait_for_run("drift_monitoring_dag", stack.airflow.trigger("drift_monitoring_dag"))
    assert notices(hook).count("Drift begins: visitors of production") == 1
    assert notices(hook).count("A new model is asked for because of drift") == 1


def test_a_candidate_that_wins_in_a_place_is_production_there_until_a_person_takes_it_back(
    stack: RunningStack, policy: Path
) -> None:
    policy.write_text(WITH_A_RAMP)
    bucket = stack.resources.bucket
    places = trial_places.known_places(bucket, ["Whitefield"])
    record = control_record.set_share(bucket, 40, "tests", places=places)
    wait_for_epoch(stack, record.epoch)
    visitors = Visitors(stack.router, stars=lambda variant: 5 if variant == "candidate" else 3)
    visitors.visit({**HOME, "location": "Hebbal"})
    visit_until_enough(stack, visitors, "CO3")
    with visitors.coming() as tally:
        stack.evaluate()
        outcome, reason = last_decision(stack)
        assert outcome == "promote", f"{reason} {tally}"
        assert "It holds for the one place of the trial, and no other." in reason
        wait_until(lambda: tally.answers["production RO1"] > 20, 60, "answers of RO1")
        elsewhere = Visitors(stack.router, stars=lambda _: 4)
        elsewhere.visit({**HOME, "location": "Hebbal"})
        assert not elsewhere.tally.answers["production RO1"]
        report = manual_actions.revert(stack.resources, "RO1", "person:tests", "its places complain")
        assert report.done == ["RO1 is taken back; its places get what they had before."]
        before = tally.answers["production BO2"]
        wait_until(lambda: tally.answers["production BO2"] > before + 20, 60, "answers of BO2")
    assert visitors.tally.failures == elsewhere.tally.failures == []
    assert regional_record.read(bucket).versions == ()


def test_a_candidate_that_is_harmed_in_the_ramp_ends_there(stack: RunningStack, tmp_path: Path) -> None:
    candidate = next_candidate(stack, tmp_path, factor=1.1)
    assert (control_record.read(stack.resources.bucket).share, phase(stack)) == (5, "ramp")
    visitors = Visitors(stack.router, stars=lambda variant: 1 if variant == "candidate" else 5)
    visit_until_enough(stack, visitors, candidate)
    with visitors.coming() as tally:
        stack.evaluate()
    outcome, reason = last_decision(stack)
    assert outcome == "rollback", f"{reason} {tally}"
    assert tally.failures == []


def test_a_better_candidate_takes_the_steps_of_the_ramp_and_is_promoted(stack: RunningStack, tmp_path: Path) -> None:
    candidate = next_candidate(stack, tmp_path, factor=1.2)
    visitors = Visitors(stack.router, stars=lambda variant: 5 if variant == "candidate" else 3)
    visit_until_enough(stack, visitors, candidate, RAMP_ANSWERS)
    with visitors.coming() as tally:
        stack.evaluate()
        assert (control_record.read(stack.resources.bucket).share, phase(stack)) == (20, "trial"), last_decision(stack)
        visit_until_enough(stack, visitors, candidate)
        stack.evaluate()
        outcome, reason = last_decision(stack)
        assert outcome == "promote", f"{reason} {tally}"
        wait_until(lambda: tally.answers["production BO3"] > 20, 60, "answers of BO3")
    assert tally.failures == []


def test_a_candidate_that_harms_a_region_is_not_promoted(stack: RunningStack, tmp_path: Path) -> None:
    candidate = next_candidate(stack, tmp_path, factor=1.3)
    wait_for_epoch(stack, control_record.set_share(stack.resources.bucket, 40, "tests").epoch)
    east = Visitors(stack.router, stars=lambda variant: 5 if variant == "candidate" else 1)
    north = Visitors(stack.router, stars=lambda variant: 1 if variant == "candidate" else 4)
    while min(of.tally.answers[f"candidate {candidate}"] for of in (east, north)) < ENOUGH_ANSWERS / 2:
        assert east.tally.answers.total() < MOST_VISITS, east.tally
        east.visit()
        east.visit()
        north.visit({**HOME, "location": "Hebbal"})
    wait_until(lambda: all(logged(stack, of) == sent(of) for of in (east, north)), 60, "every visit in the log")
    stack.evaluate()
    outcome, reason = last_decision(stack)
    assert outcome == "continue", reason
    assert f"nothing is promoted while {candidate} is worse in" in reason
    assert "north" in reason
    assert east.tally.failures == north.tally.failures == []


def test_a_candidate_that_disagrees_with_production_is_stopped_in_shadow(
    stack: RunningStack, policy: Path, tmp_path: Path
) -> None:
    policy.write_text(f"{WITH_A_RAMP}shadow: {{least_homes: 100, factor: 1.01}}\n")
    before = bundle_reader.published(stack.resources.bucket, "CO")
    visitors = Visitors(stack.router, stars=lambda _: 3, pause_seconds=0.2)
    with visitors.coming() as tally:
        import_listings(stack, synthetic_listings(tmp_path, seed=101))
        wait_until(lambda: stopped_in_shadow(stack), TRAINING_SECONDS, "a run whose candidate is stopped in shadow")
    assert tally.failures == []
    assert (bundle_reader.published(stack.resources.bucket, "CO"), candidate_queue.waiting(stack.resources.bucket)) == (
        before,
        [],
    )


def test_a_second_up_finds_everything_as_it_was(stack: RunningStack) -> None:
    stack.local("down")
    assert not [p.pid for p in psutil.process_iter() if str(stack.folder) in " ".join(cmdline(p))]
    stack.up()
    stack.connect()
    assert stack.health("production")["model_version"] == "BO3"


def next_candidate(stack: RunningStack, folder: Path, factor: float) -> str:
    """Publish a model of another price level as the next candidate, and wait until visitors meet it."""
    bucket = stack.resources.bucket
    for waiting in candidate_queue.waiting(bucket):
        promotion.withdraw(bucket, waiting, "tests", "its place is needed")
    if (running := control_record.read(bucket).candidate) is not None:  # one that waited has taken the slot
        promotion.roll_back(bucket, running, "tests", "its place is needed")
    bundle_publisher.stage(bucket, f"factor-{factor}", make_draft(folder, factor))
    candidate = bundle_publisher.publish(bucket, f"factor-{factor}", "CO")
    stack.wait_for_version("candidate", candidate)
    stack.evaluate()
    record = control_record.read(bucket)
    assert record.candidate == candidate
    wait_for_epoch(stack, record.epoch)
    return candidate


def phase(stack: RunningStack) -> str | None:
    return control_record.read(stack.resources.bucket).phase


def stopped_in_shadow(stack: RunningStack) -> list[str]:
    """Return the notes of the pipeline runs whose candidate was stopped in shadow."""
    notes = [str(run["note"]) for run in stack.airflow.runs(PIPELINE)]
    return [note for note in notes if note.startswith("nothing published: stopped in shadow: ")]


def asked_by_drift(stack: RunningStack) -> set[str]:
    """Return the pipeline runs that an asset event started."""
    return {run["dag_run_id"] for run in stack.airflow.runs(PIPELINE) if run["run_type"] == "asset_triggered"}


def notices(hook: Hook) -> list[str]:
    """Return the titles of all notifications so far."""
    return [post["text"].splitlines()[0].strip("*") for post in hook.posts]


def serving_processes(stack: RunningStack) -> set[int]:
    return {worker["pid"] for variant in ("production", "candidate") for worker in stack.health(variant)["workers"]}


def after_training(stack: RunningStack) -> str | None:
    """The third run of the pipeline; the first published BO1, the second CO1."""
    return ended_trainings(stack, 3)


def ended_trainings(stack: RunningStack, count: int) -> str | None:
    """Return the newest finished pipeline run, once so many have finished."""
    ended = [run for run in stack.airflow.runs(PIPELINE) if run["state"] in {"success", "failed"}]
    return str(max(ended, key=lambda run: run["start_date"])["dag_run_id"]) if len(ended) >= count else None


def synthetic_listings(folder: Path, seed: int) -> Path:
    """Return a file of listings that depends on the seed: few, because a training takes most of its time on rows."""
    path = folder / f"listings{seed}.csv"
    path.write_bytes(synthetic.make_listings(LISTINGS, seed=seed).to_csv(index=False).encode())
    return path


def real_listings(folder: Path) -> Path:
    """Return a file of as many real listings, from all over the city: their order is by no column."""
    path = folder / "real.csv"
    with REAL_LISTINGS.open(encoding="utf-8") as source:
        path.write_text("".join(line for _, line in zip(range(LISTINGS + 1), source, strict=False)), encoding="utf-8")
    return path


def import_listings(stack: RunningStack, path: Path) -> None:
    """Import a dataset, which starts a training."""
    imported = stack.python("-m", "homeprices.data", "import", str(path))
    assert imported.returncode == 0, imported.stdout + imported.stderr


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
