"""The tree of exceptions is as its docstring draws it, each with its HTTP status."""

import re

from homeprices import errors


def subclasses(root: type[errors.HomePricesError]) -> list[type[errors.HomePricesError]]:
    children: list[type[errors.HomePricesError]] = root.__subclasses__()
    return [root, *(leaf for child in children for leaf in subclasses(child))]


def test_the_docstring_draws_every_exception_with_its_status() -> None:
    drawn = dict(re.findall(r"(\w+)\s+(\d{3})", errors.__doc__ or ""))
    # The entry points' own (the router's, say) are in the tree only when a test before this one imported them.
    tree = [cls for cls in subclasses(errors.HomePricesError) if cls.__module__.startswith("homeprices.")]
    assert drawn == {cls.__name__: str(int(cls.status)) for cls in tree}


def test_invalid_input_names_each_field_in_one_line() -> None:
    error = errors.InvalidInput({"bhk": "is 0; allowed are 1 to 50", "bath": "is missing"})
    assert error.detail == "bhk: is 0; allowed are 1 to 50; bath: is missing"


def test_unavailable_says_when_to_come_back() -> None:
    assert errors.DatabaseUnavailable("away", retry_after=7).retry_after == 7
