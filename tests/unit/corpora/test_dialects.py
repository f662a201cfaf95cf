"""Pages of documentation as they come: MDX, Hugo, Jekyll, MkDocs, and HTML among the text."""

import textwrap
import time

import pytest

from extracting import extract
from jadapt.corpora.formats.held import Held
from jadapt.corpora.formats.markdown_blocks import read_sections
from jadapt.corpora.formats.markdown_inline import plain
from jadapt.corpora.formats.rest import inline


def blocks(page):
    """Return the blocks of a page as ``kind:text``, with ``|`` for code."""
    found = []
    for section in read_sections(textwrap.dedent(page).strip("\n").split("\n")):
        for number, run in enumerate(section.runs):
            found += ["|"] * (number > 0)
            found += [f"{block.kind[0]}:{' '.join(block.text.split())}" for block in run]
    return found


PAGES = {
    "block tags in a line": ("<th>Name</th><th>Meaning</th>", ["p:Name", "p:Meaning"]),
    "block tags in a table": (
        "<table>\n  <tr>\n    <td>a</td>\n    <td>\n        b\n    </td>\n  </tr>\n</table>",
        ["p:a", "p:b"],
    ),
    "paragraphs": ("<p>one</p>\n<p>two\nlines</p>", ["p:one", "p:two lines"]),
    "a list of HTML": ("<ul>\n<li>one</li><li>two</li>\n</ul>", ["p:one", "p:two"]),
    "a break": ("一<br>二<br />三", ["p:一 二 三"]),
    "a tag of many lines": ('<Img\n  alt="a > b"\n  on={() => x}\n>\nafter', ["p:after"]),
    "a fragment": ("<>\ntext\n</>", ["p:text"]),
    "a component": ("<Note>\ntext `<link>` more\n</Note>", ["p:text <link> more"]),
    "code in HTML": ("<pre>\n# no\n</pre>\n\ntext", ["|", "p:text"]),
    "text behind code": (
        "<pre>\nno\n</pre> text\n<pre>no</pre>more",
        ["|", "p:text", "|", "p:more"],
    ),
    "a script": ("<script>\nno()\n</script>\n\ntext", ["|", "p:text"]),
    "a script in prose": ("<script> tags are\nread", ["p:tags are read"]),
    "headings underlined": ("One\n===\n\nTwo\nlines\n---", ["h:One", "h:Two lines"]),
    "a rule is no heading": ("One\n\n---\n\nTwo", ["p:One", "p:Two"]),
    "indented code": ("text\n\n    code()\n\nmore", ["p:text", "|", "p:more"]),
    "indented MDX": ("<Note>\n\n    text\n\n</Note>", ["p:text"]),
    "indented text goes on": ("text\n    more", ["p:text more"]),
    "text in an item": ("* one\n\n      code()\n\n  more", ["i:one", "|", "p:more"]),
    "TOML": ("+++\ntitle = 'x'\n+++\ntext", ["p:text"]),
    "YAML with dots": ("---\ntitle: x\n...\ntext", ["p:text"]),
    "front matter that never ends": ("+++\ntext", ["p:+++ text"]),
    "a page that begins with a rule": ("---\n\ntext\n\n---\n\nmore", ["p:text", "p:more"]),
    "a shortcode": ("{{< note >}}\ntext\n{{< /note >}}", ["p:text"]),
    "a shortcode of many lines": ('{{< img\n  src="a"\n  alt="b" >}}\ntext', ["p:text"]),
    "a shortcode with text": ('a {{< glossary text="Pod" id="p" >}}, b', ["p:a Pod, b"]),
    "a shortcode in a line": ("a {{% ref x %}} b", ["p:a b"]),
    "highlighted code": ("{{< highlight go >}}\nno\n{{< /highlight >}}\ntext", ["|", "p:text"]),
    "Jekyll's code": ("{% highlight c %}\nno\n{% endhighlight %}\ntext", ["|", "p:text"]),
    "a shortcode as code": ("write `{{< note >}}` here", ["p:write {{< note >}} here"]),
    "an export of many lines": (
        "export const a = {\n  b: [1,\n\n  2],\n};\ntext",
        ["p:text"],
    ),
    "an import of many lines": ("import {\n  A,\n  B,\n} from './x';\n\ntext", ["p:text"]),
    "an export that never ends": ("export const a = {\n  b\n\ntext", ["p:text"]),
    "a function": ("export default function A({b}) {\n  return <p>{b}</p>;\n}\n\ntext", ["p:text"]),
    "prose on imports": ("import statements from here\nexport what", None),
    "prose on exports": ("We\nexport the model", ["p:We export the model"]),
    "a table without edges": ("a | b\n--- | ---\n1 | 2", ["c:a", "c:b", "c:1", "c:2"]),
    "a row that is too long": ("|a|b|\n|-|-|\n|1|2|3|", ["c:a", "c:b", "c:1", "c:2", "c:3"]),
    "a row that is too short": ("|a|b|\n|-|-|\n|1|", ["c:a", "c:b", "c:1"]),
    "a table without a rule": ("| a | b |\n| 1 | 2 |", ["c:a", "c:b", "c:1", "c:2"]),
    "a bar in a cell": ("|a|\n|-|\n|b \\| c|", ["c:a", "c:b | c"]),
    "a break in a cell": ("|a|\n|-|\n|b<br>c|", ["c:a", "c:b c"]),
    "a carriage return in a table": ("|a|\n|-|\n|b\rx|\n|c|", ["c:a", "c:b x", "c:c"]),
    "a footnote": ("text[^1]\n\n[^1]: 注釈です。", ["p:text", "p:注釈です。"]),
    "a definition": ('text\n\n[a]: https://example.org "A"\n[b]: <x y>\n[c]: ./d', ["p:text"]),
    "a note that is no definition": ("[注]: 日本語の文", ["p:[注]: 日本語の文"]),
    "a quote": ("> one\n> two\n\nthree", ["p:one two", "p:three"]),
    "an alert": ("> [!NOTE]\n> text", ["p:text"]),
    "code in a quote": ("> one\n>\n> ```\n> no\n> ```\n>\n> two", ["p:one", "|", "p:two"]),
    "quotes in quotes": (">" * 3000 + " text", ["p:text"]),
    "a box": ("!!!note\n\n    a\n\n    b\n\nc", ["p:a", "p:b", "p:c"]),
    "a box in a box": ('??? tip "x"\n    === "T"\n        a\n    b\nc', ["p:a", "p:b", "p:c"]),
    "a box indented by three": ("!!! tip\n   a\n\n    b", ["p:a", "p:b"]),
    "code in an item, too deep": ("* a\n          ```\n          no\n          ```", ["i:a", "|"]),
    "a comment as code": ("write `<!--` and `-->`", ["p:write <!-- and -->"]),
    "a comment with a blank line": ("a <!-- no\n\nno --> b", ["p:a b"]),
    "an address": ("<me@example.org> <https://a.b/c>", ["p:me@example.org https://a.b/c"]),
    "no text": ("\x00\n\ue000\n\ue0010\ue001\n\ue002\ue003", None),
}


@pytest.mark.parametrize(("page", "expected"), PAGES.values(), ids=PAGES)
def test_a_page_is_read_as_its_readers_see_it(page, expected):
    found = blocks(page)
    if expected is None:
        expected = ["p:" + " ".join(page.split())]
    assert found == expected


def test_a_page_nested_beyond_reason_is_one_broken_record():
    deep = "".join(f"{'  ' * n}- a\n" for n in range(1000))
    files = {"ja/a.md": deep, "en/a.md": "- a", "ja/b.md": "猫", "en/b.md": "cat"}
    pairs, reading, _ = extract("markdown", files, {"roots": {"ja": "ja", "en": "en"}})
    assert pairs == [("猫", "cat")]
    assert reading.broken == [("ja/a.md", 1, "lists nested too deeply")]
    assert reading.records == 2


def test_headings_keep_the_ids_that_sections_align_by():
    page = "One {/*one*/}\n===\n\n## Two {/*two*/}\n\n* a\n\n  ### In an item {/*no*/}\n\n## Three"
    sections = read_sections(page.split("\n"))
    assert [section.identifier for section in sections] == ["#title", "two", "three"]


@pytest.mark.parametrize(
    "text",
    ["\ue000", "\ue0000\ue001", "a\ue000b\ue001c", "\ue00f", "`\ue0000\ue001`", "\0 \r"],
)
def test_private_characters_of_the_text_stay(text):
    held = Held()
    assert held.restored(held.prepared(text)) == text
    assert plain(text) == text.strip("`").strip()
    assert inline(text) == text.strip("`")


def test_pieces_held_in_pieces_come_back():
    assert inline(":ref:`see ``code`` <here>`") == "see code"
    assert inline("``:pep:`20` `` or ``:pep:`Egg <20>```.") == ":pep:`20`  or :pep:`Egg <20>`."


@pytest.mark.parametrize(
    "text",
    [
        "<a " + "{}" * 20000,
        "**a " * 2000,
        "[" * 20000,
        "`" * 20000 + "a",
        "<!--" * 4000,
        "![" * 9000,
    ],
    ids=["tag", "stars", "brackets", "ticks", "comments", "pictures"],
)
def test_markup_that_never_closes_takes_no_time(text):
    start = time.monotonic()
    read_sections([text])
    assert time.monotonic() - start < 20
