"""The columns that the real Evidently calls drifted, for pairs of files in a folder. Needs pandas below 3.

Reads `{n}.reference.csv` and `{n}.current.csv`, writes `evidently.json`: a list of columns for each n.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

NUMBERS = ["total_sqft", "bhk", "bath", "balcony", "price"]
WORDS = ["location", "area_type", "availability"]


def drifted(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Return the columns that are drifted by its defaults."""
    definition = DataDefinition(numerical_columns=NUMBERS, categorical_columns=WORDS)
    before = Dataset.from_pandas(reference, data_definition=definition)
    after = Dataset.from_pandas(current, data_definition=definition)
    found = []
    for metric in Report([DataDriftPreset()]).run(after, before).dict()["metrics"]:
        config = metric["config"]
        if "column" in config and float(metric["value"]) >= float(config["threshold"]):
            found.append(config["column"])
    return sorted(found)


folder = Path(sys.argv[1])
pairs = sorted(folder.glob("*.reference.csv"), key=lambda path: int(path.name.split(".")[0]))
answers = [
    drifted(*(pd.read_csv(path.with_name(path.name.replace("reference", side))) for side in ("reference", "current")))
    for path in pairs
]
(folder / "evidently.json").write_text(json.dumps(answers))
