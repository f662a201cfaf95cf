"""What a format reads from files that a test writes."""

import textwrap

from jadapt.corpora.documents import Member, Reading
from jadapt.corpora.formats import EXTRACTORS


def extract(kind, files, settings=None, language="ja"):
    reading = Reading("source", language)
    members = [
        Member(name, data if isinstance(data, bytes) else textwrap.dedent(data).encode())
        for name, data in files.items()
    ]
    documents = list(EXTRACTORS[kind](members, settings or {}, reading))
    return [(document.ja, document.en) for document in documents], reading, documents
