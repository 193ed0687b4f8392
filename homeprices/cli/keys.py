"""`homeprices keys`: create, list, rotate and revoke API keys."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from homeprices.cli.command_group import CommandGroup, example, resources_of, user_name

if TYPE_CHECKING:
    from homeprices.keys.key_ring import NewKey

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SHOWN_ONCE = "The key is above. It is shown only once and stored nowhere. It works within 10 seconds."


class Duration(click.ParamType[timedelta]):
    """A duration such as 90d, 12h, 30m or 0s."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,6})([smhd])", str(value))
        if not found:
            self.fail(f"{value!r} is no duration such as 90d, 12h, 30m or 0s", param, ctx)
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


actor_option = click.option("--actor", default=user_name, show_default="the user", help="Person who acts.")


@click.group("keys", cls=CommandGroup, label="keys: ")
def group() -> None:
    """Create, list, rotate and revoke API keys."""


@group.command(epilog=example('homeprices keys create --scope predict,batch --quota 100/s --expires 90d --note "shop"'))
@click.option("--scope", required=True, help="predict, batch, feedback, operate; several with commas.")
@click.option("--quota", default="20/s", show_default=True, help="Requests per second (100/s) or minute (30/m).")
@click.option("--expires", type=Duration(), default="90d", show_default=True, help="How long it is valid, to 1095d.")
@click.option("--note", default="", help="Whom it is for; at most 200 characters.")
@actor_option
@click.pass_context
def create(context: click.Context, scope: str, quota: str, expires: timedelta, note: str, actor: str) -> None:
    """Create a key and print it, alone, on standard output."""
    from homeprices.keys import key_ring

    scopes: Any = [one.strip() for one in scope.split(",") if one.strip()]
    bucket = resources_of(context).bucket
    _show(key_ring.create(bucket, scopes, quota, expires, f"person:{actor}", note))


@group.command("list", epilog=example("homeprices keys list", "homeprices keys list --json"))
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_context
def list_keys(context: click.Context, as_json: bool) -> None:
    """Show every key with its use: valid ones, and those that ended in the last 90 days."""
    from homeprices.keys import key_ring, key_usage
    from homeprices.keys.key_usage import KeyUse

    bucket = resources_of(context).bucket
    now, usage = key_ring.utc_now(), key_usage.read(bucket)
    rows = [
        {
            "id": key.id,
            "state": key.state(now),
            "scopes": list(key.scopes),
            "quota": key.quota,
            "created_at": key.created_at.isoformat(timespec="seconds"),
            "created_by": key.created_by,
            "ends_at": key.ends_at.isoformat(timespec="seconds"),
            "valid_texts": len(key.valid_secrets(now)),
            "revoked_by": key.revoked_by,
            "note": key.note,
            **usage.get(key.id, KeyUse()).model_dump(mode="json"),
        }
        for key in key_ring.read(bucket).keys
    ]
    click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))


@group.command(epilog=example("homeprices keys rotate 3f9k2m7q --overlap 7d"))
@click.argument("key_id", metavar="ID")
@click.option("--overlap", type=Duration(), default="7d", show_default=True, help="How long the old text is valid.")
@click.option(
    "--expires", type=Duration(), help="How long the new text is valid (default: as long as the old one was)."
)
@click.pass_context
def rotate(context: click.Context, key_id: str, overlap: timedelta, expires: timedelta | None) -> None:
    """Give key ID a new text and print it. The old text stays valid for the overlap; both share the quota."""
    from homeprices.keys import key_ring

    _show(key_ring.rotate(resources_of(context).bucket, key_id, overlap, expires))


@group.command(epilog=example("homeprices keys revoke 3f9k2m7q"))
@click.argument("key_id", metavar="ID")
@actor_option
@click.pass_context
def revoke(context: click.Context, key_id: str, actor: str) -> None:
    """End key ID, everywhere within 10 seconds."""
    from homeprices.keys import key_ring

    key = key_ring.revoke(resources_of(context).bucket, key_id, f"person:{actor}")
    click.echo(f"key {key.id} is revoked since {key.ends_at:%Y-%m-%d %H:%M:%S} UTC")


def _show(made: NewKey) -> None:
    click.echo(made.text)
    key = made.key
    click.echo(f"key {key.id}: {', '.join(key.scopes)}; {key.quota}; until {key.ends_at:%Y-%m-%d %H:%M} UTC", err=True)
    click.echo(SHOWN_ONCE, err=True)


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "there are no keys"
    head = ("id", "state", "scopes", "quota", "ends", "allowed", "refused", "limited", "last used", "note")
    lines = [
        (
            row["id"],
            row["state"] + (", 2 texts" if row["valid_texts"] > 1 else ""),
            ",".join(row["scopes"]),
            row["quota"],
            row["ends_at"][:16],
            *(f"{row[name]:,}" for name in ("allowed", "refused", "limited")),
            (row["last_used"] or "never")[:16],
            row["note"],
        )
        for row in rows
    ]
    widths = [max(len(line[n]) for line in (head, *lines)) for n in range(len(head))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (head, *lines))
    return "\n".join(line.rstrip() for line in padded)
