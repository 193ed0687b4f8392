from pathlib import Path

import pytest

from homeprices.predictions.identifiers import (
    FEWEST_BLOCKS,
    MOST_BLOCKS,
    RATE_WINDOW_SECONDS,
    RESERVE_SECONDS,
    SLOTS,
    IdReserve,
    IssuedIds,
)
from homeprices.predictions.tables import ID_BLOCK


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def block(first: int) -> range:
    return range(first, first + ID_BLOCK)


def test_ids_come_in_the_order_in_which_blocks_were_reserved_and_each_once() -> None:
    ids = IdReserve(Clock())
    ids.add([block(5001), block(1)])
    taken = [ids.take() for _ in range(2 * ID_BLOCK)]
    assert taken == [*block(5001), *block(1)]
    assert ids.take() is None


def test_an_empty_reserve_gives_no_id_until_a_block_comes() -> None:
    ids = IdReserve(Clock())
    assert ids.take() is None
    ids.add([block(1)])
    assert ids.take() == 1


@pytest.fixture
def processes(tmp_path: Path) -> list[IssuedIds]:
    """Two users of one file, as two processes of a machine are."""
    made = [IssuedIds(tmp_path / "state/issued_ids") for _ in range(2)]
    for one in made:
        one.open()
    return made


def test_the_ids_that_one_process_adds_are_known_to_all_and_to_those_after_it(processes: list[IssuedIds]) -> None:
    first, second = processes
    added = [1, 2, 3, 7, 8, SLOTS - 1, SLOTS, SLOTS + 6, 2**53 - 3]
    first.add([*added[:3], *reversed(added[3:])])
    first.close()
    near = sorted({number + step for number in added for step in (-2, -1, 0, 1, 2)} - set(added))
    assert [number in second for number in added] == [True] * len(added)
    assert [number in second for number in near] == [False] * len(near)
    assert 1 not in first, "it is closed"


def test_a_later_id_takes_the_slot_so_that_the_file_stays_small(processes: list[IssuedIds], tmp_path: Path) -> None:
    first, second = processes
    first.add(range(1, SLOTS + 1))
    second.add([SLOTS + 5])
    assert [number in first for number in (4, 5, 6, SLOTS, SLOTS + 5)] == [True, False, True, True, True]
    assert (tmp_path / "state/issued_ids").stat().st_size == 8 * SLOTS


def test_without_a_file_no_id_is_known_and_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blocked = IssuedIds(tmp_path / "file/issued_ids")
    blocked.open()
    blocked.add([1])
    assert 1 not in blocked
    blocked.close()


def test_a_fresh_process_reserves_a_few_blocks_and_none_while_it_has_half_of_them() -> None:
    ids = IdReserve(Clock())
    assert ids.missing_blocks() == FEWEST_BLOCKS
    ids.add([block(1 + n * ID_BLOCK) for n in range(FEWEST_BLOCKS)])
    assert (ids.missing_blocks(), ids.left) == (0, FEWEST_BLOCKS * ID_BLOCK)
    for _ in range(FEWEST_BLOCKS // 2 * ID_BLOCK):
        ids.take()
    assert ids.missing_blocks() == FEWEST_BLOCKS // 2


def test_busy_traffic_reserves_enough_for_minutes_without_the_database() -> None:
    clock = Clock()
    ids = IdReserve(clock)
    ids.add([block(1 + n * ID_BLOCK) for n in range(2)])
    for _ in range(1000):
        ids.take()
    clock.now += RATE_WINDOW_SECONDS
    rate = 1000 / RATE_WINDOW_SECONDS
    assert ids.missing_blocks() * ID_BLOCK >= (rate * RESERVE_SECONDS) * 0.99


def test_the_reserve_is_bounded_whatever_the_traffic() -> None:
    clock = Clock()
    ids = IdReserve(clock)
    ids.add([block(1 + n * ID_BLOCK) for n in range(30)])
    for _ in range(30_000):
        ids.take()
    clock.now += RATE_WINDOW_SECONDS
    assert ids.missing_blocks() == MOST_BLOCKS
