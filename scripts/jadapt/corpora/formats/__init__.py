"""Extractors: from the files of a source to documents, one module a format.

Each is a function ``extract(members, settings, reading) -> iterator of Document``. It counts every
record in ``reading.records`` (broken ones included), every record that it leaves out in
``reading.counts``, and notes what it cannot read with ``reading.add_broken``.
"""

from jadapt.corpora.formats import (
    aozora,
    lines,
    markdown,
    po,
    questions,
    rest,
    tsv,
    wikitext,
    xhtml,
)

EXTRACTORS = {
    "aozora": aozora.extract,
    "boolq": questions.extract_boolq,
    "jsonl": lines.extract_jsonl,
    "markdown": markdown.extract,
    "po": po.extract,
    "squad": questions.extract_squad,
    "text": rest.extract,
    "tsv": tsv.extract,
    "txt": lines.extract_txt,
    "wikitext": wikitext.extract,
    "xhtml": xhtml.extract,
}
"""Extractor by the value of ``extract.format``; for a local file, by its ending."""
