"""The fronts of a study: whether their points exist, and whether what shows forgetting is unseen.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from jadapt.config import entries, runs
from jadapt.config.checking import short
from jadapt.config.origins import Origin
from jadapt.config.run_checks import check_size
from jadapt.core.errors import nearest


def check_fronts(config: dict, origin: Origin) -> None:
    """Check the section ``fronts`` and the strengths of all runs.

    Raises:
        UserError: the first fault; one line.
    """
    if config.get("fronts"):
        _check_retention(config, origin)
    for name, entry in config["methods"].items():
        strengths = entry.get("strengths")
        if strengths:
            _check_strengths(name, config, origin)
        if runs.has_front(config, name):
            values = len(strengths["values"]) if strengths else 1
            points = len(runs.rates(config, name)) * values * len(config["fronts"]["seeds"])
            check_size(points, f"methods.{name}.learning_rate", origin)


def _check_strengths(name: str, config: dict, origin: Origin) -> None:
    at, entry = f"methods.{name}", config["methods"][name]
    key, values = entry["strengths"]["key"], entry["strengths"]["values"]
    for index, value in enumerate(values):
        try:
            varied = runs.varied(entry, key, value)
        except KeyError as error:
            raise origin.refusal(
                f"{at}.strengths.key",
                f"'{key}' names nothing in {at} ({error.args[0]} is missing)",
            ) from None
        place = origin.of(f"{at}.strengths.values.{index}")
        entries.check_entry(name, varied, config, Origin(f"{place}: {at}: {short(value)}"))


def _check_retention(config: dict, origin: Origin) -> None:
    """Refuse text that is to show forgetting where something is trained on it, or remembers it."""
    measured, key = config["evaluation"]["domains"], "fronts.retention"
    tokenizer = runs.tokenizer_domains(config["tokenizer"])
    used = {
        **dict.fromkeys(tokenizer, "what the tokenizer learns from (tokenizer.domains)"),
        **dict.fromkeys(runs.base_domains(config)[1:], "mixed into the base model's text"),
        **dict.fromkeys(
            runs.known_domains(config), "what strategies remember (methods.*.remembers)"
        ),
        config["pretraining"]["domain"]: "what the base model learned, and strategies remember it "
        "(pretraining.domain)",
        **dict.fromkeys(config["sequence"], "a task (sequence)"),
    }
    for name in config["fronts"]["retention"]:
        if name not in measured:
            raise origin.refusal(key, f"'{name}' is not measured{nearest(name, measured)}")
        if name in used:
            raise origin.refusal(
                key,
                f"'{name}' is {used[name]}, so it does not show what is forgotten; name text that "
                "nothing is trained on",
            )
