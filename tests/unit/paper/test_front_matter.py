"""What the paper and the page say of themselves comes from one file."""

from pathlib import Path

import pytest

from jadapt.core.errors import UserError
from jadapt.paper import front_matter

CITATION = Path(__file__).resolve().parents[3] / "CITATION.cff"
WHOLE = """title: >-
  A title of
  two lines
authors:
  - {given-names: Hanako, family-names: Yamada}
  - name: A group
license: MIT
abstract: What it is.
"""


def test_the_file_of_the_project_has_what_page_one_needs():
    found = front_matter.read(CITATION)
    assert found.title.endswith("NeMo 2.0") and "\n" not in found.title
    assert found.authors and found.keywords and found.date
    assert found.line[0].endswith(str(found.date.year)) and found.line[-1] == "Apache License 2.0"


def test_people_groups_and_addresses(tmp_path):
    path = tmp_path / "CITATION.cff"
    path.write_text(WHOLE)
    found = front_matter.read(path)
    assert found.title == "A title of two lines"
    assert found.authors == ("Hanako Yamada", "A group")
    # What the file does not have is not made up.
    assert (found.line, found.day) == (["MIT"], "none")
    path.write_text(WHOLE + "repository-code: https://example.org/a\ndate-released: 2026-02-03\n")
    found = front_matter.read(path)
    assert found.line == ["3 February 2026", "https://example.org/a", "MIT"]
    assert found.day == "datetime(year: 2026, month: 2, day: 3)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("license: MIT\n", ""), "key 'license' is missing"),
        (lambda text: text.replace("name: A group", "alias: a"), "an author without a name"),
        (lambda text: text + "date-released: soon\n", "'soon' is no date such as"),
    ],
)
def test_a_gap_is_named_with_the_file(tmp_path, change, message):
    path = tmp_path / "CITATION.cff"
    path.write_text(change(WHOLE))
    with pytest.raises(UserError, match=message) as error:
        front_matter.read(path)
    assert str(path) in str(error.value)
