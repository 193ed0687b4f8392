"""The service answers 500 requests as recorded, byte for byte but for ids and times."""

from pathlib import Path

from tests.contract import http_recording, http_requests
from tests.support.servers import Servers


def test_every_answer_is_the_recorded_one(servers: Servers, tmp_path: Path) -> None:
    recorded = http_recording.read()
    assert len(recorded) == http_requests.COUNT
    answers = http_recording.record(servers, tmp_path)
    changed = [
        (before, now) for before, now in zip(recorded, answers, strict=True) if not http_recording.same(before, now)
    ]
    shown = "\n".join(f"{before}\n  now {now}" for before, now in changed[:10])
    assert not changed, f"{len(changed)} answers have changed; the first:\n{shown}"
