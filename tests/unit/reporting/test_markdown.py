from functools import partial
from pathlib import Path

import pytest

from homeprices.errors import InvalidInput
from homeprices.reporting.markdown import check_section, replace_section


def test_only_the_named_section_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- end of a -->\n<!-- b -->\nkept\n<!-- end of b -->\nafter\n")
    for text in ("new", "newer\nstill"):
        replace_section(page, "a", text)
    assert page.read_text() == (
        "before\n<!-- a -->\nnewer\nstill\n<!-- end of a -->\n<!-- b -->\nkept\n<!-- end of b -->\nafter\n"
    )


@pytest.mark.parametrize("content", ["nothing", "<!-- a -->\nno end", "no start\n<!-- end of a -->"])
def test_a_page_without_both_marks_is_left_alone(tmp_path: Path, content: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(content)
    for write in (partial(check_section, page, "a"), partial(replace_section, page, "a", "text")):
        with pytest.raises(InvalidInput, match=r"page.md: does not hold the marks <!-- a --> and <!-- end of a -->"):
            write()
    assert page.read_text() == content


def test_a_page_that_cannot_be_written_is_refused_before_the_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- a -->\nold\n<!-- end of a -->\n")
    check_section(page, "a")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everything
    with pytest.raises(InvalidInput, match=r"page.md: cannot be written"):
        check_section(page, "a")
