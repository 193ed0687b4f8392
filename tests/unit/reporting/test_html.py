"""Pages of reports: whatever people wrote is text on them, and they need nothing from elsewhere."""

from markupsafe import Markup

from homeprices.reporting import html

EVIL = "<script>alert(1)</script>"
SAFE = "&lt;script&gt;alert(1)&lt;/script&gt;"


def test_text_is_escaped_everywhere() -> None:
    page = html.page(EVIL, EVIL, html.table([(EVIL, EVIL)], (EVIL, EVIL)), html.details(EVIL, {EVIL: EVIL}))
    assert "<script" not in page
    assert page.count(SAFE) == 10


def test_markup_stays_markup() -> None:
    assert "<p><b>1</b></p>" in html.page("T", Markup("<p>{}</p>").format(Markup("<b>1</b>")))


def test_numbers_stand_to_the_right_and_what_is_missing_is_a_dash() -> None:
    table = html.table([("requests", 12345, 0.123456789, None, True, "text")])
    assert table == Markup(
        '<table><tr><th>requests</th><td class="number">12,345</td><td class="number">0.1235</td>'
        '<td class="number">–</td><td>True</td><td>text</td></tr></table>'
    )
    assert "<th>became</th><td>–</td>" in html.table([("became", None)])


def test_a_page_follows_the_colour_scheme_of_its_reader() -> None:
    assert "color-scheme: light dark" in html.page("T") and "http" not in html.page("T")
