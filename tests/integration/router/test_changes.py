"""Changes of the configuration: none is lost, each is confirmed, and none costs a response."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from homeprices.release import control_record
from router.nginx import read_revision
from router.reload import apply_config
from router.render import render, revision_of
from tests.integration.router.client import Visitor
from tests.integration.router.conftest import Router, eventually, free_port, running_record


@contextmanager
def visitors_at_work(listen: str, count: int = 6) -> Iterator[tuple[list[int], list[Visitor], list[BaseException]]]:
    """Run visitors at full speed until the block ends. Yield statuses, visitors and errors."""
    statuses: list[int] = []
    wrong: list[BaseException] = []
    done = threading.Event()
    visitors = [Visitor(listen) for _ in range(count)]

    def work(visitor: Visitor) -> None:
        try:
            while not done.is_set():
                statuses.append(visitor.predict().status)
        except BaseException as error:
            wrong.append(error)
        finally:
            visitor.close()

    threads = [threading.Thread(target=work, args=(visitor,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    try:
        yield statuses, visitors, wrong
    finally:
        done.set()
        for thread in threads:
            thread.join(20)


def test_twenty_changes_under_load_lose_no_request(router: Router) -> None:
    with visitors_at_work(router.site.listen) as (statuses, visitors, wrong):
        for number in range(20):
            router.apply_record(running_record(share=10 + number, epoch=2 + number))
            assert router.agent.last is not None
            assert router.agent.last.outcome == "applied"
    assert wrong == []
    assert set(statuses) == {200}
    assert len(statuses) > 500
    retried = sum(visitor.retried for visitor in visitors)
    if router.site.keepalive_min_timeout:
        assert retried == 0, "this Nginx holds kept connections through a reload"
    else:
        assert retried <= 20 * len(visitors), "at most one a connection and change"


def test_the_revision_is_read_back_through_the_port(router: Router) -> None:
    before = read_revision(router.site.listen)
    router.apply_record(running_record(share=30, epoch=2))
    after = read_revision(router.site.listen)
    assert before != after
    assert after == revision_of(router.nginx.configuration.read_text())


def test_an_equal_record_changes_nothing(router: Router) -> None:
    changes = router.metrics.registry.get_sample_value("router_config_changes_total", {"outcome": "applied"})
    router.apply_record(running_record().model_copy(update={"updated_by": "somebody", "reason": "looked at it"}))
    assert router.metrics.registry.get_sample_value("router_config_changes_total", {"outcome": "applied"}) == changes


def test_a_rejected_configuration_leaves_the_former_one_in_force(router: Router) -> None:
    before = router.nginx.configuration.read_text()
    bad = before.replace("worker_processes 2;", "worker_processes two;")
    applied = apply_config(router.nginx, bad, router.site.listen)
    assert (applied.outcome, applied.revision) == ("refused", revision_of(before))
    assert "worker_processes" in applied.reason
    assert router.nginx.configuration.read_text() == before
    assert router.visitor().predict().status == 200


def test_the_agent_counts_a_rejected_change_and_goes_on(router: Router) -> None:
    router.change(trusted=("127.0.0.0/99",), outcome="refused")
    assert router.metrics.registry.get_sample_value("router_config_changes_total", {"outcome": "refused"}) == 1
    assert router.visitor().predict().status == 200
    router.agent.step()  # not tried again at every step
    assert router.metrics.registry.get_sample_value("router_config_changes_total", {"outcome": "refused"}) == 1


def test_a_change_that_passes_the_test_but_cannot_be_bound_is_rolled_back(router: Router) -> None:
    before = router.nginx.configuration.read_text()
    taken = router.production.address  # `nginx -t` does not notice, and `nginx -s reload` answers 0
    text = before.replace(f"listen {router.site.listen} ", f"listen {taken} ")
    text = text.replace('set $config "', 'set $config "f')
    applied = apply_config(router.nginx, text, router.site.listen, lambda at, revision: read_revision(at) == revision)
    assert applied.outcome == "unconfirmed"
    assert "does not answer with revision" in applied.reason
    assert router.nginx.configuration.read_text() == before
    assert router.nginx.configuration.stat().st_mode & 0o077 == 0, "it holds the key of the visitors' cookies"
    assert router.visitor().predict().status == 200


def test_a_port_in_use_is_named_at_the_start(router: Router) -> None:
    router.nginx.stop(1)
    text = render(running_record(), router.site).replace(router.site.listen, router.production.address)
    applied = apply_config(router.nginx, text, router.production.address)
    assert applied.outcome == "failed"
    assert applied.reason.count(f"bind() to {router.production.address} failed (98: Address") == 1


def test_the_router_moves_to_another_port_without_a_stop(router: Router) -> None:
    pid = router.nginx.pid()
    router.change(listen=f"127.0.0.1:{free_port()}")
    assert router.nginx.pid() == pid
    assert router.visitor().predict().status == 200


def test_an_nginx_that_died_is_started_again(router: Router) -> None:
    router.nginx.stop(1)
    router.agent.step()
    assert router.visitor().predict().status == 200
    assert router.metrics.registry.get_sample_value("router_nginx_starts_total") == 2


def test_a_damaged_record_is_ignored(router: Router) -> None:
    router.bucket.put(control_record.KEY, b'{"share": 5000}')
    router.apply_record()
    assert router.control.failure is not None
    assert router.visitor().ask("GET", "/router/version").json()["share"] == 50.0


def test_a_rotated_log_is_followed_without_a_gap(router: Router) -> None:
    visitor = router.visitor()
    first = visitor.predict()
    router.log_with(first.headers["X-Request-ID"])
    router.agent.step()
    log = router.nginx.folder / "access.log"
    log.replace(log.with_name("access.log.1"))
    router.nginx.signal(signal.SIGUSR1)
    eventually(log.exists)
    second = visitor.predict()
    router.log_with(second.headers["X-Request-ID"])
    for _ in range(3):
        router.agent.step()
    counted = sum(
        sample.value
        for metric in router.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "router_prediction_duration_seconds_count"
    )
    assert counted == 2


def test_a_rejected_first_configuration_starts_nothing(router: Router) -> None:
    router.nginx.stop(1)
    applied = apply_config(router.nginx, "nonsense;", router.site.listen)
    assert (applied.outcome, applied.revision) == ("failed", "")
    assert "nonsense" in applied.reason


def test_an_unconfirmed_first_configuration_is_a_failure(router: Router) -> None:
    router.nginx.stop(1)
    text = router.nginx.configuration.read_text()
    router.nginx.configuration.unlink()
    applied = apply_config(router.nginx, text, router.site.listen, lambda *_: False)
    assert applied.outcome == "failed"
    assert f"{router.site.listen} does not answer" in applied.reason


def test_a_damaged_line_is_counted_and_skipped(router: Router) -> None:
    with (router.nginx.folder / "access.log").open("a") as log:
        log.write("half a li\n")
    router.agent.step()
    assert router.metrics.registry.get_sample_value("router_log_lines_damaged_total") == 1


def test_entries_older_than_a_minute_are_dropped(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    router.candidate.status = 500
    for _ in range(4):
        visitor.predict()
    router.log_with('"fallback":"1"')
    router.clock.ahead = 61
    router.agent.step()
    last = visitor.predict()
    router.log_with(last.headers["X-Request-ID"])
    router.agent.step()
    assert router.control.cached.effective.state == "running"
