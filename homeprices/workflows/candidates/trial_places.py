"""The places of a trial: those that a person names, or a region of the city, as production's model knows them.

Before the trial begins there, the candidate prices the logged homes of these places, as every candidate does with all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from homeprices.data.regions import GENERAL, REGIONS, region_of
from homeprices.errors import Conflict, InvalidInput
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.features import OTHER_LOCATION, Locations, key_of, place_header
from homeprices.registry import bundle_reader, regional_record
from homeprices.registry.regional_record import MOST_PLACES
from homeprices.release import control_record
from homeprices.release.experiment_record import ControlRecord, in_places

if TYPE_CHECKING:
    from homeprices.adapters.object_store import Bucket
    from homeprices.resources import Resources

LONGEST_HEADER = 100
"""Characters of a place as the header states it; Nginx keeps the places in a table of entries of this size."""

MOST_NAMED = 10
MOST_CHARACTERS = 64 * 1024


def read_places(file: IO[str]) -> list[str]:
    """Return the places of a file, one a line; empty lines and those that begin with # do not count.

    Raises InvalidInput for a file that is too long or no text.
    """
    try:
        text = file.read(MOST_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise InvalidInput({"places": f"are not UTF-8: {error.reason} at byte {error.start}"}) from None
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput({"places": f"have more than {MOST_CHARACTERS:,} characters"})
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def places_of_region(bucket: Bucket, region: str) -> tuple[str, ...]:
    """Return the keys of a region's places that production's model knows, sorted. Raises InvalidInput, Conflict."""
    regions = [name for name in REGIONS if name != GENERAL]
    if region not in regions:
        raise InvalidInput({"region": f"{region!r} is none; allowed: {', '.join(regions)}"})
    return known_places(bucket, [name for name in _learned(bucket) if region_of(name) == region])


def known_places(bucket: Bucket, named: Iterable[str]) -> tuple[str, ...]:
    """Return the keys of the named places, sorted.

    Raises Conflict without a production bundle, or without room for another regional one.

    Raises InvalidInput for no place, too many, and for those that production's model does not know: there the trial
    would have no visitor.
    """
    locations = Locations(_learned(bucket))
    keys = {key_of(name): name for name in named}
    unknown = [name for key, name in keys.items() if key not in locations]
    if unknown:
        shown = "; ".join(_suggested(name, locations) for name in unknown[:MOST_NAMED])
        more = f"; and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        raise InvalidInput({"places": f"production's model does not know {shown}{more}"})
    if not 0 < len(keys) <= MOST_PLACES:
        raise InvalidInput({"places": f"are {len(keys)}; from 1 to {MOST_PLACES} are allowed"})
    for key, name in keys.items():
        if len(place_header(key)) > LONGEST_HEADER:
            raise InvalidInput({"places": f"{name!r} is too long: {LONGEST_HEADER} characters, percent-encoded"})
    places = tuple(sorted(keys))
    regional_record.require_room(bucket, places)  # now, not when the candidate has won
    return places


def places_of(bucket: Bucket, candidate: str) -> tuple[str, ...]:
    """Return the places in which a candidate is tried. Raises Conflict without a trial in some places."""
    record = control_record.read(bucket)
    if record.candidate != candidate or not record.places:
        raise Conflict(f"{candidate} has no trial in some places, so there is no region to promote it for")
    return record.places


def begin_in(
    resources: Resources, percent: float, places: tuple[str, ...], actor: str, reason: str
) -> tuple[ControlRecord, str]:
    """Try the candidate in these places, unless its shadow comparison there stops it; return the record and a sentence.

    The places of the present trial are not compared again. Raises Conflict when the comparison stops it, without an
    experiment, and when another candidate takes the slot meanwhile; DatabaseUnavailable, StorageUnavailable.
    """
    from homeprices.workflows.candidates import selection, shadow  # they read bundles, which most commands do not

    bucket = resources.bucket
    control_record.check_share(percent)
    before = control_record.read(bucket)
    sentence = ""
    if before.candidate is not None and percent > 0 and before.places != places:
        run_id = selection.run_of(bucket, before.candidate)
        with tempfile.TemporaryDirectory() as temporary:
            folder = bundle_reader.fetch(bucket, before.candidate, Path(temporary))
            report = shadow.compare_in_shadow(resources, run_id, folder, places=places)
        if report.stopped:
            raise Conflict(f"{before.candidate} is not tried {in_places(places)}: {report.stopped}")
        sentence = report.sentence
    record = control_record.set_share(bucket, percent, actor, reason, places=places, candidate=before.candidate)
    return record, sentence


def _learned(bucket: Bucket) -> list[str]:
    production = bundle_reader.highest(bucket, BUNDLE_KIND["production"])
    if production is None:
        raise Conflict("there is no production bundle yet, so no place is known")
    return [name for name in bundle_reader.read_columns(bucket, production).locations if name != OTHER_LOCATION]


def _suggested(name: str, locations: Locations) -> str:
    nearest = locations.nearest(name)
    return f"{name[:60]!r}" + (f" (did you mean {nearest!r}?)" if nearest else "")
