from inference.backend.runtime.cookie_quota import NEW_COOKIES_AN_HOUR, CookieQuota


class Clock:
    now = 3600.0 * 500_000

    def __call__(self) -> float:
        return self.now


def granted(quota: CookieQuota, network: str | None, asked: int = 1000) -> int:
    return sum(quota.take(network) for _ in range(asked))


def test_a_network_gets_its_number_in_each_clock_hour() -> None:
    clock = Clock()
    quota = CookieQuota(clock=clock)
    assert [granted(quota, "0a"), granted(quota, "0a"), granted(quota, "0b")] == [120, 0, 120]
    clock.now += 3599
    assert granted(quota, "0a") == 0
    clock.now += 1
    assert granted(quota, "0a") == 120


def test_the_workers_of_an_instance_grant_no_more_together() -> None:
    for workers in (1, 2, 7, 64):
        together = sum(granted(CookieQuota(workers), "0a") for _ in range(workers))
        assert NEW_COOKIES_AN_HOUR / 2 < together <= NEW_COOKIES_AN_HOUR


def test_other_networks_push_none_out_and_unreadable_addresses_share_one_place() -> None:
    quota = CookieQuota(clock=Clock())
    granted(quota, f"{5:016x}")
    for network in range(100_000):
        quota.take(f"{network:016x}")
    assert not quota.take(f"{5:016x}")
    assert granted(quota, None) < NEW_COOKIES_AN_HOUR
