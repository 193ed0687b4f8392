from homeprices.predictions.identifiers import (
    FEWEST_BLOCKS,
    MOST_BLOCKS,
    RATE_WINDOW_SECONDS,
    RESERVE_SECONDS,
    IdReserve,
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


def test_only_ids_that_were_handed_out_count_as_given() -> None:
    ids = IdReserve(Clock())
    assert not ids.was_issued(1)
    ids.add([block(1), block(1001)])
    for _ in range(ID_BLOCK + 1):
        ids.take()
    assert [ids.was_issued(number) for number in (0, 1, 1000, 1001, 1002, 2001)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


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
