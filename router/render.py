"""Render the router's Nginx configuration from the control record and the site as a pure function.

`python -m router.render` prints the example configuration.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from homeprices.errors import InvalidInput
from homeprices.keys.key_ring import parse_quota
from homeprices.keys.key_token import HANDLE_PATTERN, handle
from homeprices.names import PLACE_HEADER
from homeprices.pricing.features import place_header
from homeprices.release.experiment_record import ControlRecord, hundredths
from homeprices.settings import LOCAL_HOST
from router.site_config import NO_ADDRESS, RouterKey, RouterSite

TEMPLATE = Path(__file__).with_name("nginx.conf.template")
REVISION_LENGTH = 12
KEEPALIVE_MIN_SECONDS = 5  # how long a reload keeps idle connections that a client may be about to use

LOOPBACK = ("127.0.0.0/8", "::1/128")
PROBLEM_JSON = (
    '{"type":"about:blank","title":"$problem_title","status":$status,'
    '"detail":"$problem","error":"$problem","request_id":"$trace"}'
)
_REVISION = "{{revision}}"
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_SAFE_PLACE = re.compile(r"[A-Za-z0-9_.~!'()*%-]{1,100}")
_SAFE_WORD = re.compile(r"[A-Za-z0-9_.-]{0,64}")
_SAFE_HOST = re.compile(r"(\*\.)?[a-z0-9_.-]{1,255}")
_SAFE_ADDRESS = re.compile(r"[A-Za-z0-9_.:/\[\]-]{1,255}")


def render(record: ControlRecord, site: RouterSite, template: str | None = None) -> str:
    """Return the text of nginx.conf. The revision in it is a digest of everything else.

    Raises InvalidInput for a value of the record or site that is not a single word of a configuration file.
    """
    template = TEMPLATE.read_text(encoding="utf-8") if template is None else template
    body = fill_template(template, _values(record, site) | {"revision": _REVISION})
    revision = hashlib.sha256(body.encode()).hexdigest()[:REVISION_LENGTH]
    return body.replace(_REVISION, revision)


def revision_of(configuration: str) -> str:
    """Return the revision of a rendered configuration, as served at /router/version; empty if it has none."""
    revision = re.search(r'set \$config "([0-9a-f]+)"', configuration)
    return revision[1] if revision else ""


def is_split(record: ControlRecord) -> bool:
    """Whether the record gives the candidate any visitors, at the resolution of Nginx (0.01 %)."""
    return record.state == "running" and bool(record.candidate) and hundredths(record.share) > 0


def _values(record: ControlRecord, site: RouterSite) -> dict[str, str]:
    running = record.state == "running"
    experiment = _word("experiment", record.experiment or "") if running else ""
    production = _addresses("production", site.production)
    candidate = _addresses("candidate", site.candidate)
    keepalive = f"    keepalive_min_timeout {KEEPALIVE_MIN_SECONDS}s;\n" if site.keepalive_min_timeout else ""
    return {
        "workers": str(site.workers),
        "shutdown_seconds": str(site.shutdown_seconds),
        "folder": _path(site.folder),
        "user": f"user {_word('user', site.user)};\n" if site.user else "",
        "listen": _one("listen", site.listen, _SAFE_ADDRESS),
        "hosts": server_names(site.hosts),
        "real_ip": _lines("    set_real_ip_from {};", _addresses("trusted", site.trusted)),
        "trusted": _lines("        {} 1;", site.trusted),
        "own_machine": _lines("        {} 1;", _own_machine(site)),
        **_doors(site),
        **_keys(site.keys),
        "split": _split(record),
        "trial": _trial(record),
        "production_servers": _lines("        server {} max_fails=0;", production),
        "candidate_servers": _lines("        server {} max_fails=0;", candidate),
        "operations_servers": _lines("        server {} max_fails=0;", _addresses("operations", site.operations)),
        "operations_timeout": f"{round(site.operations_timeout * 1000)}ms",
        "production_backups": _lines("        server {} max_fails=0 backup;", production),
        "upstream_keepalive_seconds": str(site.upstream_keepalive_seconds),
        "requests_per_second": str(site.requests_per_second),
        "burst": str(site.requests_per_second * 2),
        "requests_per_address": str(site.requests_per_address),
        "requests_in_flight": str(site.requests_in_flight),
        "batches_per_address": str(site.batches_per_address),
        "batches_in_flight": str(site.batches_in_flight),
        "body_limit_kib": str(site.body_limit_kib),
        "batch_limit_kib": str(site.batch_limit_kib),
        "batch_timeout": f"{round(site.batch_timeout * 1000)}ms",
        "cookie_key": _word("cookie_key", site.cookie_key),
        "production_timeout": f"{round(site.production_timeout * 1000)}ms",
        "candidate_timeout": f"{round(site.candidate_timeout * 1000)}ms",
        "keepalive_min_timeout": keepalive,
        "experiment": experiment,
        "version_json": _version_json(record),
        "problem_json": PROBLEM_JSON,
    }


def _doors(site: RouterSite) -> dict[str, str]:
    """Return what the locations of visitors, batches and operators begin with."""
    door = "            if ($needs_key) {\n                return 401;\n            }\n"
    allow = _lines("            allow {};", site.trusted) + "\n            deny all;"
    return {
        "visitor_door": door if site.api_keys == "required" else "",
        "batch_door": "" if site.api_keys == "off" else door,
        "operator_door": allow if site.api_keys == "off" else door.rstrip("\n"),
    }


def _keys(keys: Sequence[RouterKey]) -> dict[str, str]:
    """Return maps from the start of a key to its id and quota, and a zone and a limit for each different quota."""
    quotas = {key.quota: parse_quota(key.quota) for key in keys}
    zones, limits = [], []
    for text, (requests, unit) in quotas.items():
        name = f"key_{requests}{unit}"
        zones += [
            f'    map $key_quota ${name} {{\n        default "";\n        {text} $api_key;\n    }}',
            f"    limit_req_zone ${name} zone={name}:128k rate={requests}r/{unit};",
        ]
        limits.append(f"        limit_req zone={name} burst={requests} nodelay;")
    handles = [(handle(_word("key", key.id), _word("tag", tag)), key.id) for key in keys for tag in key.tags]
    return {
        "key_handle_pattern": HANDLE_PATTERN,
        "key_handles": "\n".join(f"        {start} {key_id};" for start, key_id in handles),
        "key_quotas": "\n".join(f"        {key.id} {key.quota};" for key in keys),
        "key_retries": "\n".join(f"        {text} {quota.retry_seconds};" for text, quota in quotas.items()),
        "key_zones": "\n".join(zones),
        "key_limits": "\n".join(limits),
    }


def server_names(hosts: Sequence[str]) -> str:
    """Return Nginx's `server_name` of a stack: no name, local ones, and those of the settings."""
    return " ".join(['""', f'"~^{LOCAL_HOST}$"', *(_one("hosts", host, _SAFE_HOST) for host in hosts)])


def _split(record: ControlRecord) -> str:
    if not is_split(record):
        return "    map $host $split_variant {\n        default production;\n    }"
    share = hundredths(record.share)
    return (
        f'    split_clients "{_word("salt", record.salt)}:$visitor" $split_variant {{\n'
        f"        {share // 100}.{share % 100:02}% candidate;\n"
        "        * production;\n"
        "    }"
    )


def _trial(record: ControlRecord) -> str:
    """Return the maps of the variables that depend on the places of the trial.

    `$in_trial` is 1 for a request in the experiment: for each, or for those whose header names a place of the trial.
    `$trial_place` is that place, which the service compares with the home.
    """
    epoch = str(record.epoch) if record.state == "running" else ""
    if not record.places:
        in_trial = "    map $host $in_trial {\n        default 1;\n    }"
        stated = '    map $host $trial_place {\n        default "";\n    }'
    else:
        header = "$http_" + PLACE_HEADER.lower().replace("-", "_")
        # A prefix for each place, because Nginx reserves some words, and reads a value that starts with ~ as a pattern.
        of_places = _lines(
            '        "p:{}" 1;', tuple(_one("places", place_header(p), _SAFE_PLACE) for p in record.places)
        )
        in_trial = f'    map p:{header} $in_trial {{\n        default "";\n{of_places}\n    }}'
        stated = f'    map $in_trial $trial_place {{\n        default "";\n        1 {header};\n    }}'
    return "\n".join(
        [
            in_trial,
            stated,
            f'    map $in_trial $experiment_epoch {{\n        default "";\n        1 "{epoch}";\n    }}',
            f"    map $in_trial $epoch_or_null {{\n        default null;\n        1 {epoch or 'null'};\n    }}",
        ]
    )


def _own_machine(site: RouterSite) -> tuple[str, ...]:
    """Return loopback and the listening address, from which the agent connects if it is not loopback."""
    host = site.listen.rpartition(":")[0].strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        raise InvalidInput({"listen": f"{host!r} is not an IP address, such as 127.0.0.1 or 0.0.0.0"}) from None
    return LOOPBACK if address.is_loopback or address.is_unspecified else (*LOOPBACK, host)


def _version_json(record: ControlRecord) -> str:
    members = {
        "revision": _REVISION,
        "state": record.state,
        "experiment": _word("experiment", record.experiment or "") or None,
        "production": _word("production", record.production or "") or None,
        "candidate": _word("candidate", record.candidate or "") or None,
        "share": record.share if is_split(record) else 0,
        "epoch": record.epoch,
    }
    return json.dumps(members)


def _lines(template: str, values: tuple[str, ...]) -> str:
    return "\n".join(template.format(value) for value in values)


def _addresses(name: str, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value if value == NO_ADDRESS else _one(name, value, _SAFE_ADDRESS) for value in values)


def _word(name: str, value: str) -> str:
    return _one(name, value, _SAFE_WORD)


def _path(path: Path) -> str:
    text = str(path)
    if not path.is_absolute() or re.search(r'["$\\\n{}]', text):
        raise InvalidInput({"folder": f"{text!r} is not an absolute path without quotes, braces, $ and backslash"})
    return text


def _one(name: str, value: str, allowed: re.Pattern[str]) -> str:
    if not allowed.fullmatch(value):
        raise InvalidInput({name: f"{value!r} is not allowed in a configuration ({allowed.pattern})"})
    return value


def example() -> str:
    """Return the configuration of an experiment at the default addresses: `router/nginx.example.conf`."""
    record = ControlRecord(
        state="running",
        experiment="BO1-CO1",
        production="BO1",
        candidate="CO1",
        salt="0123456789abcdef",
        share=20,
        epoch=1,
    )
    site = RouterSite(
        listen="127.0.0.1:7000",
        production=("127.0.0.1:6001",),
        candidate=("127.0.0.1:6002",),
        trusted=("127.0.0.0/8", "::1/128"),
        folder=Path("/var/lib/homeprices/router"),
        cookie_key="fedcba9876543210fedcba9876543210",
    )
    return render(record, site)


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """Return the template with every {{name}} replaced. Raises InvalidInput if names and values do not match."""
    names = set(_PLACEHOLDER.findall(template))
    if names != set(values):
        different = ", ".join(sorted(names ^ set(values)))
        raise InvalidInput({"template": f"placeholders and values differ in {different}"})
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


if __name__ == "__main__":
    print(example(), end="")
