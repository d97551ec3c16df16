from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from graph_metamers.errors import OutputError, ParameterError
from graph_metamers.report import expected_sections, write_report
from graph_metamers.report.labels import model_labels, title
from graph_metamers.report.sections import EXPECTED, build_sections
from graph_metamers.report.writing import render

MEGABYTE = 1_000_000
OVERCLAIMS = ("cannot see", "does not exist", "impossible", "never sees", "blind to")


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and its texts outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.scripts, self._open = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open == "script":
            self.scripts.append(data)
        elif self._open != "style":
            self.texts.append(data)


@pytest.fixture(scope="module")
def page(image_audits):
    return Page(render(image_audits))


def test_one_file_of_at_most_eight_megabytes_is_written(word_audit, tmp_path):
    path = write_report([word_audit], tmp_path / "new folder" / "report.html")

    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_size <= 8 * MEGABYTE
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_same_audits_give_the_same_page(word_audit):
    assert render([word_audit]) == render([word_audit])


def test_an_older_report_is_replaced_and_a_failed_one_leaves_it(word_audit, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(AttributeError):
        write_report([replace(word_audit, layers=(None,))], path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]

    write_report([word_audit], path)
    assert path.read_text(encoding="utf-8") != "old"


def test_bad_arguments_are_refused_before_anything_is_written(word_audit, tmp_path):
    with pytest.raises(ParameterError, match="at least one audit"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(ParameterError, match="a list of audits"):
        write_report(word_audit, tmp_path / "report.html")
    with pytest.raises(ParameterError, match=r"ends in \.html"):
        write_report([word_audit], tmp_path / "audit.json")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_report([word_audit], tmp_path / "folder.html")
    with pytest.raises(OutputError):
        write_report([word_audit], tmp_path / "file" / "report.html")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.html"]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret", "javascript:alert(1)", "C:\\x", "", "https://a.b/"]
)
def test_only_files_beside_the_page_are_linked(word_audit, tmp_path, name):
    with pytest.raises(ParameterError, match="relative"):
        write_report([word_audit], tmp_path / "report.html", files=[name])


def test_files_are_linked_by_their_relative_names(word_audit, tmp_path):
    path = write_report([word_audit], tmp_path / "report.html", files=["audits/GCN #1/audit.json"])
    links = [a["href"] for tag, a in Page(path.read_text(encoding="utf-8")).elements if tag == "a"]

    assert "audits/GCN%20%231/audit.json" in links


def test_sections_are_there_exactly_when_expected(word_audit, image_audits, numeric_audit, chance_audit):
    empty = replace(word_audit, layers=())
    for audits in (
        [word_audit],
        image_audits,
        [numeric_audit, chance_audit],
        [*image_audits, word_audit],
        [empty],
    ):
        assert tuple(section.id for section in build_sections(audits)) == expected_sections(audits)
    assert expected_sections([empty])[0] == "verdict"
    assert "layers" not in expected_sections([empty])
    assert "verdict" in render([empty])


def test_section_numbers_are_those_of_the_design(image_audits):
    numbers = {section.id: section.number for section in build_sections(image_audits)}

    assert numbers == {
        "verdict": 1,
        "pictures": 2,
        "layers": 3,
        "metamer": 4,
        "theory": 5,
        "controls": 6,
        "advice": 9,
        "making": 10,
    }
    assert tuple(numbers) == tuple(name for name in EXPECTED if name not in ("structure", "observers"))


def test_titles_say_matched_only_where_something_was(word_audit, image_audits, chance_audit):
    assert title(image_audits) == "What GCN and GraphSAGE match on digits"
    assert title(image_audits[:1]) == "What GCN matches on digits"
    assert title([word_audit]) == "No metamer of GCN was found on karate within 50 steps"
    assert "GraphSAGE (at chance)" in title([chance_audit])


def test_labels_are_all_different(word_audit, image_audits):
    labels = [label.text for label in model_labels([word_audit, word_audit, *image_audits])]

    assert len(set(labels)) == 4
    assert "GCN on karate, audit 2" in labels


def test_the_page_does_not_over_claim(image_audits, word_audit):
    for audits in (image_audits, [word_audit]):
        text = " ".join(" ".join(Page(render(audits)).texts).split()).lower()
        assert not [claim for claim in OVERCLAIMS if claim in text]


def test_a_model_at_chance_is_flagged_wherever_it_is_named(image_audits, chance_audit):
    text = render([*image_audits, chance_audit])
    named = re.findall(r'<span class="model">.*?</span>', text, flags=re.DOTALL)
    own = [name for name in named if "GraphSAGE on numbers" in name]

    assert len(own) > 5
    assert all("at chance" in name for name in own)
    assert "This model is at chance" in text


def test_the_policy_forbids_every_connection_and_every_other_script(page):
    policy = next(
        a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    assert rules["default-src"] == "'none'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert rules["img-src"] == "data:"
    runnable = [text for text in page.scripts if not text.startswith("{")]
    hashes = {f"'sha256-{b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in runnable}
    assert set(rules["script-src"].split()) == hashes


def test_every_image_is_inside_the_page_and_has_a_text(page):
    images = [attributes for tag, attributes in page.elements if tag == "img"]

    assert images
    assert all(image["src"].startswith("data:image/png;base64,") and image["alt"] for image in images)


def test_links_inside_the_page_lead_somewhere(page):
    identifiers = [a["id"] for _, a in page.elements if "id" in a]
    links = [a["href"] for tag, a in page.elements if tag == "a"]

    assert len(set(identifiers)) == len(identifiers)
    assert all(link[0] == "#" and link[1:] in identifiers for link in links)


def test_structure_is_semantic(page):
    tags = [tag for tag, _ in page.elements]
    headers = [attributes for tag, attributes in page.elements if tag == "th"]

    assert tags.count("h1") == 1
    assert tags.count("figure") == tags.count("figcaption") > 3
    assert all("scope" in attributes for attributes in headers)
    plots = [a for _, a in page.elements if "plot" in a.get("class", "").split()]
    assert plots
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_nothing_hostile_becomes_markup(hostile_audit):
    text = render([hostile_audit])
    page = Page(text)
    attributes = [name for _, own in page.elements for name in own]

    assert "<script>alert" not in text
    assert "b" not in {tag for tag, _ in page.elements}
    assert not [name for name in attributes if name.startswith("on")]
    assert "alert(1)" in " ".join(page.texts)
    for figure in (json.loads(script) for script in page.scripts if script.startswith("{")):
        drawn = json.dumps(figure)
        assert not re.search(r"<(?!br>|sup>|/sup>)", drawn)
