"""Groups of clarities, by which an experiment looks for harm and a trial may be limited."""

from __future__ import annotations

from typing import Literal, get_args

from homeprices.pricing.features import key_of

Region = Literal["clean", "slightly included", "general"]

REGIONS: tuple[Region, ...] = get_args(Region)
GENERAL: Region = "general"
SIMULATED: Region = "clean"
_GROUPS: dict[Region, str] = {"clean": "IF VVS1 VVS2", "slightly included": "VS1 VS2 SI1 SI2"}
_REGION_OF = {key_of(name): region for region, names in _GROUPS.items() for name in names.split()}


def region_of(place: str) -> Region:
    """Return the group of a clarity; `general` for any other."""
    return _REGION_OF.get(key_of(place), GENERAL)
