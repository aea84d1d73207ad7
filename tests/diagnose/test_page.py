"""The page: well-formed, on its own, and no name can be more than a name."""

from html.parser import HTMLParser

import pytest

from diagnose import reports
from loopwise.diagnose.page import page, write_page
from loopwise.errors import RunError

pytestmark = pytest.mark.usefixtures("judged")

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """Checks that tags nest; collects ids, loads and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.loads, self.text = [], [], [], [], ""
        self.copies = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href"):
                self.loads.append(value)
            if name == "data-copy":
                self.copies.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", ["vanishing", "healthy", "tiny", "broken", "hostile", "deep"])
def test_a_page_is_well_formed_and_loads_nothing(name):
    report = getattr(reports, name)()
    text = page(report, reports.watched(report))
    read = Reader(text)
    assert len(read.ids) == len(set(read.ids))
    assert all(load.startswith(("#", "data:")) for load in read.loads)
    assert "http://" not in text
    assert "https://" not in text
    assert {load[1:] for load in read.loads if load.startswith("#")} <= set(read.ids)


def test_names_are_only_names():
    read = Reader(page(reports.hostile(), title="<script>x</script>"))
    assert read.tags.count("script") == 1
    assert not {"b", "i"} & set(read.tags)
    assert "\x1b" not in page(reports.hostile())


def test_remedies_can_be_copied():
    read = Reader(page(reports.vanishing()))
    assert read.copies[0] == "--set model.cell=lstm"


def test_a_page_says_which_layers_it_shows():
    text = page(reports.deep())
    assert "Figures show 6 of 40 layers" in text
    assert text.count("<td>gru</td>") == 40
    assert "has a cell of its own" in text


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    write_page(reports.tiny(), tmp_path / "report.html", title="Mine")
    assert "<h1>Mine</h1>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(RunError, match="cannot be written"):
        write_page(reports.tiny(), tmp_path / "none" / "report.html")
