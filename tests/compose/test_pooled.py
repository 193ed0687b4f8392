"""Three replicas through PgBouncer: its number of connections is the limit, and every prediction is stored."""

from __future__ import annotations

from tests.compose.compose_stack import POOLED, PROJECT, ComposeStack
from tests.e2e.visitors import Visitors

SERVER_CONNECTIONS = 3
VISITS = 100


def test_replicas_share_a_few_connections_and_lose_nothing(stack: ComposeStack, figures: dict[str, object]) -> None:
    directly = connections_under_load(stack)
    stack.files.append(POOLED)
    stack.up("--no-deps", "pgbouncer", "infer-prod", "infer-cand", PGBOUNCER_SERVER_CONNECTIONS=str(SERVER_CONNECTIONS))
    stack.wait_until_healthy()
    stack.wait(lambda: set(stack.replicas().values()) == {"BO2"}, 120, "BO2 on every replica")
    pooler = stack.inspect(f"{PROJECT}-pgbouncer-1")["NetworkSettings"]["Networks"]
    [address] = [network["IPAddress"] for network in pooler.values()]
    through = connections_under_load(stack)
    assert set(through) == {address} and 0 < through[address] <= SERVER_CONNECTIONS
    figures["connections_of_four_services"] = {
        "directly": sum(directly.values()),
        "through_pgbouncer": through[address],
    }


def connections_under_load(stack: ComposeStack) -> dict[str, int]:
    """Return the services' maximum number of connections to PostgreSQL under load, by address; no request fails."""
    services = {n["IPAddress"] for c in stack.containers() if c["Service"] in {"infer-prod", "infer-cand", "pgbouncer"}
                for n in stack.inspect(c["Name"])["NetworkSettings"]["Networks"].values()}  # fmt: skip
    query = ("select host(client_addr), count(*) from pg_stat_activity where datname = 'homeprices'"
             " and usename = 'homeprices' group by 1")  # fmt: skip
    most: dict[str, int] = {}
    visitors = Visitors(stack.url("ROUTER"), stars=lambda _: 4)

    def enough() -> bool:
        for address, count in stack.sql(query):
            if address in services:
                most[address] = max(most.get(address, 0), int(count))
        return sum(visitors.tally.answers.values()) >= VISITS

    with visitors.coming() as tally:
        stack.wait(enough, 120, f"{VISITS} visits")
    assert tally.failures == []
    ids = tally.predicted
    stack.wait(lambda: stack.logged(ids) == len(ids), 60, f"{len(ids)} predictions in PostgreSQL")
    return most
