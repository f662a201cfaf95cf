"""Formats with markup: Markdown, Aozora Bunko's and reStructuredText."""

import pytest

from extracting import extract
from jadapt.corpora.formats.markdown_blocks import slug
from jadapt.corpora.formats.markdown_inline import plain
from jadapt.corpora.formats.rest import inline

ROOTS = {"roots": {"ja": "*/docs/ja", "en": "*/docs"}}
ENGLISH = """\
    ---
    title: x
    ---
    # Title

    Intro with `code *kept*`,
    a [link](https://example.org/a_(b)) and <b>bold</b>.

    !!! note "Heads up"

        Inside a **note**.

    ## First part

    Before.

    === "Python 3.10+"

        ```python
        x = 1
        ```

    === "Python 3.8+"

        ```python
        # not a heading
        ```

    * one
      more
    * two

    | Name | Meaning |
    | --- | --- |
    | `x` | a \\| b |

    ## Only in English

    New.

    ## Last part

    End <!-- hidden
    comment --> here. {/* hidden, too */}
    """
JAPANESE = """\
    # 題

    `code *kept*` と
    [リンク](https://example.org/a)と<b>太字</b>の序文。

    !!! note "注"

        **メモ**の中。

    ## 第一部 {#first-part}

    前。

    ```python
    x = 1
    ```

    * 一
    * 二

    | 名前 | 意味 |
    |---|---|
    | `x` | 甲か乙 |

    ## 最終部 {#last-part}

    終わり。
    """


def test_markdown_aligns_by_id_and_strips_markup():
    files = {"p-1/docs/a.md": ENGLISH, "p-1/docs/ja/a.md": JAPANESE, "p-1/docs/ja/b.md": "x"}
    pairs, reading, _ = extract("markdown", files, ROOTS)
    assert pairs == [
        ("題", "Title"),
        ("code *kept* と\nリンクと太字の序文。", "Intro with code *kept*,\na link and bold."),
        ("メモの中。", "Inside a note."),
        ("第一部", "First part"),
        ("前。", "Before."),
        ("一", "one\nmore"),
        ("二", "two"),
        ("名前", "Name"),
        ("意味", "Meaning"),
        ("甲か乙", "a | b"),
        ("最終部", "Last part"),
        ("終わり。", "End  here."),
    ]
    assert reading.counts == {
        "page_pairs": 1,
        "pages_without_pair": 1,
        "sections": 3,
        "sections_not_aligned": 0,
        "identical": 1,
    }


def test_markdown_leaves_out_what_does_not_align():
    english = "# T\n\na\n\nb\n\n```\n1\n```\n\nc\n\n## S\n\nd\n\n```\n1\n```\n\ne"
    japanese = "# 題\n\n甲\n\n```\n1\n```\n\n丙\n\n## 節\n\n丁"
    files = {"p/docs/a.md": english, "p/docs/ja/a.md": japanese}
    pairs, reading, _ = extract("markdown", files, ROOTS)
    assert pairs == [("丙", "c")]
    assert reading.counts["blocks_not_aligned"] == 2
    assert reading.counts["sections_not_aligned"] == 1


def test_markdown_without_ids_or_equal_levels_aligns_by_code():
    english = "# T\n\n## New\n\nn\n\n## A\n\na\n\n```\nx\n```\n\n## B\n\nb\n\n```\ny\n```\n"
    japanese = "# 題\n\n## 甲\n\nあ\n\n```\nx\n```\n\n## 乙\n\nい\n\n```\nz\n```\n"
    files = {"p/docs/a.md": english, "p/docs/ja/a.md": japanese}
    pairs, reading, _ = extract("markdown", files, ROOTS)
    assert pairs == [("甲", "A"), ("あ", "a")]
    assert reading.counts["sections_not_aligned"] == 2


def test_markdown_drops_the_block_with_bad_bytes_only():
    files = {
        "p/docs/a.md": b"# T\n\na \xff\n\nb\n",
        "p/docs/ja/a.md": "# 題\n\n甲\n\n乙\n",
    }
    pairs, reading, _ = extract("markdown", files, ROOTS)
    assert pairs == [("題", "T"), ("乙", "b")]
    assert reading.broken == [("p/docs/a.md", 3, "not valid utf-8 (byte 0xff at column 3)")]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("see [`X`][module.X] and ![picture](a.png)", "see X and"),
        ("`` a`b `` &amp; <https://example.org>", "a`b & https://example.org"),
        ("snake_case_name and _soft_ and __hard__", "snake_case_name and soft and hard"),
        ("2 * 3 * 4 and \\*stars\\*", "2 * 3 * 4 and *stars*"),
        ('text{ .annotate } <a href="x>y" target=_blank>link</a>', "text link"),
        ("`<div>` stays, <div className={x}> goes{' '}", "<div> stays,  goes"),
    ],
)
def test_inline_markdown(markup, text):
    assert plain(markup) == text


def test_slug_is_that_of_an_english_heading():
    assert slug("What's `new` in 3.0?") == "whats-new-in-30"
    assert slug("日本語") is None


AOZORA = """\
題
作者

-------------------------------------------------------
【テキスト中に現れる記号について】

《》：ルビ
-------------------------------------------------------

［＃３字下げ］第一章［＃「第一章」は中見出し］

　四｜疋《ひき》の蜂雀《はちすずめ》が※［＃「口＋云」、第3水準1-14-87］といった。
ゆら／＼と※［＃「あみがしら」、U+7F52、123-4］※［＃「不明」、45-6］

底本：「全集」
入力：だれか
"""


def test_aozora_takes_the_body_without_markup():
    data = AOZORA.replace("\n", "\r\n").encode("shift_jis")
    pairs, reading, documents = extract("aozora", {"cards/1/files/12_ruby_3/12_ruby_3.txt": data})
    gaiji = bytes([14 + 0xA0, 87 + 0xA0]).decode("euc_jis_2004")
    assert [ja for ja, _ in pairs] == [
        "第一章",
        f"四疋の蜂雀が{gaiji}といった。",
        "ゆら〱と\u7f52〓",
    ]
    assert {document.key for document in documents} == {"12"}
    assert reading.counts == {"unnamed_characters": 1}


def test_aozora_notes_bad_bytes_and_a_missing_header():
    data = AOZORA.encode("shift_jis").replace("第一章".encode("shift_jis"), b"\x81\xff\xfd", 1)
    pairs, reading, _ = extract("aozora", {"1_a.txt": data, "2_b.txt": b"abc\n"})
    assert len(pairs) == 2
    assert reading.broken[0][:2] == ("1_a.txt", 10)
    assert reading.broken[1] == ("2_b.txt", 1, "no header between two lines of hyphens")


REST = """\
    =====
    Title
    =====

    .. currentmodule:: x

    A :class:`~django.db.Model` is *not* a ``view``; see :doc:`the guide </topics/x>`,
    :ref:`this <here>` and `that <https://example.org>`_ [1]_. For example::

        code = "skipped"

        more = code

    e.g. ``Manager``\\s stay. The end.

    .. note::
        A note. It has
        two lines.

    .. class:: Thing(a, b)
        :module: x

        Describes the thing.

    .. code-block:: python

        skipped()

    .. _target:

    * one item that
      goes on
    * another

    1. numbered

    ===== =====
    table skipped
    ===== =====
    a     b
    ===== =====

    +---+---+
    | a | b |
    +---+---+

    >>> skipped()

    term
        definition
    """


def test_text_keeps_prose_only():
    pairs, reading, _ = extract("text", {"a.txt": REST}, language="en")
    assert [english for _, english in pairs] == [
        "A Model is not a view; see the guide, this and that. For example:",
        "e.g. Managers stay. The end.",
        "A note. It has two lines.",
        "Describes the thing.",
        "one item that goes on",
        "another",
        "numbered",
        "term",
        "definition",
    ]
    assert reading.records == 9


def test_inline_rest():
    assert inline(":meth:`!save` of :attr:`.Model.pk`, :doc:`/topics/db`") == "save of Model.pk, db"
    assert inline("pass ``**kwargs`` and **bold** |now|") == "pass **kwargs and bold now"
