import os

from tests.unit.inference.conftest import Backend, Start


def test_health_names_the_instance_and_what_all_its_workers_serve(backend: Backend) -> None:
    backend.service.workers.open()
    backend.service.workers.write("BO1")
    answer = backend.client.get("/api/health")
    assert answer.status_code == 200
    found = answer.get_json()
    assert {name: found.pop(name) for name in ("timestamp", "model_variant", "system")}["model_variant"] == "best_model"
    assert found == {
        "status": "healthy",
        "state": "ok",
        "instance": "infer-prod",
        "variant": "production",
        "model_version": "BO1",
        "regional_versions": [],
        "workers": [{"pid": os.getpid(), "model_version": "BO1", "regional_versions": []}],
        "refused_version": None,
        "refused_for": None,
        "database": "up",
        "spool_records": 3,
    }


def test_before_the_first_model_it_is_alive_and_not_ready(start: Start) -> None:
    empty = start()
    assert (empty.client.get("/api/health").status_code, empty.client.get("/api/ready").status_code) == (200, 503)
    assert empty.client.get("/api/health").get_json()["status"] == "starting"


def test_with_a_model_it_is_ready(backend: Backend) -> None:
    assert backend.client.get("/api/ready").json == {"ready": True, "status": "ok"}


def test_an_instance_without_a_candidate_is_healthy_and_ready_to_take_feedback(start: Start) -> None:
    candidate = start(MODEL_PREFIX="candidate_model", HOMEPRICES_INSTANCE="infer-cand")
    candidate.service.live.poll()
    assert candidate.client.get("/api/ready").json == {"ready": True, "status": "idle"}
    health = candidate.client.get("/api/health").json
    assert health and (health["status"], health["state"], health["model_version"]) == ("healthy", "idle", None)


def test_health_is_open_to_untrusted_networks(backend: Backend) -> None:
    assert backend.client.get("/api/health", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 200
