"""Papers whose numbers tests follow back to their rows."""

from jadapt.analysis import claims
from jadapt.analysis.adapted_models import READERS, read_tables
from jadapt.config import studies
from jadapt.core.files import load_settings, read_json
from jadapt.release import numbers, origins

TEMPLATE = studies.ROOT / "paper/paper.typ.j2"


def paper_of(folder, settings, **more):
    """The numbers of the paper that is made from released tables."""
    paths = {name: folder / f"{name}.csv" for name in READERS} | more
    found = read_tables({name: path for name, path in paths.items() if path.exists()})
    return numbers.Paper(
        origins.Sources(
            found, settings, load_settings("paper/literature.yaml"),
            claims.read("config/claims.yaml"), ["same_model", "gpu"],
            read_json(folder / "manifest.json"), TEMPLATE, "example",
        )
    )  # fmt: skip


def same(first, second) -> bool:
    """Equal, where what was not measured equals itself."""
    return repr(first) == repr(second) or first == second
