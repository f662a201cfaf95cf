"""Names from elsewhere that become paths: they stay in their folder, or nothing is done."""

import pytest

from jadapt.core.errors import UserError
from jadapt.core.paths import inside

LEADING_OUT = [
    "../x", "../../x", "a/../../x", "a/..", "/etc/passwd", "//x", "", ".", "./", "..", "a\\..\\x",
    "\\x", "a\nb", "a\0b", "a\tb", "\x7f", "a\u2028b", "a\ud800", "x" * 256, "a/" + "語" * 86,
]  # fmt: skip


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_name_that_is_no_path_below_the_folder_is_refused(tmp_path, name):
    with pytest.raises(UserError) as error:
        inside(tmp_path / "folder", name, "config/models.yaml: file")
    assert str(error.value).startswith("config/models.yaml: file: ")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    "name",
    ["a", "a/b.txt", "./a", "日本語/「表」.txt", "a b", "a\u3000b", "{x}", "it's", "..a", "-r"],
)
def test_other_names_are_below_it(tmp_path, name):
    assert inside(tmp_path, name, "here") == tmp_path / name


def test_a_link_within_leads_nowhere_else(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/out").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"leads out of .* through a link"):
        inside(tmp_path / "folder", "out/x", "here")
    # The folder itself may lie elsewhere.
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert inside(tmp_path / "link", "x", "here") == tmp_path / "link/x"
