"""The cases of bench_gpu.py: what is trained, how, with how many rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from jadapt.core.declarations import METHODS, STRATEGIES, example_of

PARTS = ["checks", "speed", "batches", "gains", "precisions", "methods"]
_COMMON = {
    "kind": "scratch", "architecture": "qwen2", "initializer_range": 0.02,
    "tie_word_embeddings": True, "rope_theta": 1000000.0,
}  # fmt: skip
SHAPES = {
    "qwen2_5_500m": _COMMON | {
        "vocabulary": 151936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
    },
    "tiny": _COMMON | {
        "vocabulary": 300, "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 256,
    },
}  # fmt: skip
CHUNK = 2048
# Products of more rows are faster, and with large batches their logits are a small part.
LARGE_CHUNK = 16384
FAST = {
    "cross_entropy_chunk": CHUNK, "compile_layers": True, "activation_budget": 0.7,
    "fuse_projections": True, "cuda_graphs": True, "flash_attention": True,
    "fused_optimiser": True, "deterministic": False,
}  # fmt: skip
PLAIN = {"deterministic": False}
GAINS = {
    "none": PLAIN,
    "chunked cross-entropy": PLAIN | {"cross_entropy_chunk": CHUNK},
    "compiled layers": PLAIN | {"compile_layers": True},
    "fused projections": PLAIN | {"fuse_projections": True},
    "CUDA graphs": PLAIN | {"cuda_graphs": True},
    "flash attention": PLAIN | {"flash_attention": True},
    "fused optimiser": PLAIN | {"fused_optimiser": True},
    "all": FAST,
    "all but fused projections": FAST | {"fuse_projections": False},
    "all but CUDA graphs": FAST | {"cuda_graphs": False},
}


RANKS = (4, 8, 16, 32, 64)


def lora(rank: int) -> dict:
    """Return LoRA on all linear layers."""
    return {"method": "lora", **example_of(METHODS["lora"]), "rank": rank, "alpha": 2 * rank}


def declared_methods() -> dict[str, dict]:
    """Return what is measured, by label: every class that asks for it, with its examples."""
    found = {}
    for key, declared in sorted({**METHODS, **STRATEGIES}.items(), key=lambda c: c[1].order):
        if key == "lora":
            found |= {f"lora r{rank}": lora(rank) for rank in RANKS}
        elif not declared.benchmarked:
            continue
        elif key in METHODS:
            found[key] = {"method": key, **example_of(declared)}
        else:
            found[key] = {"method": "sft", "continual": {key: example_of(declared)}}
    return found


MEASURED = declared_methods()


@dataclass(frozen=True)
class Case:
    """One measurement: ``stack`` trains ``label`` with ``rows`` x ``length`` tokens a step."""

    part: str
    stack: str
    label: str
    rows: int
    length: int
    precision: str = "bf16-true"
    method: dict = field(default_factory=dict)
    fast: dict = field(default_factory=dict)
    change: str = ""
    repeat: int = 0

    @property
    def name(self) -> str:
        """What tells the case from all others."""
        return "/".join(
            str(getattr(self, key))
            for key in (
                "part", "stack", "label", "change", "precision", "rows", "length", "repeat"
            )
        )  # fmt: skip

    def columns(self) -> dict:
        """Return what the tables say of the case."""
        return {k: v for k, v in asdict(self).items() if k not in ("method", "fast")}

    def exceeds(self, row: dict) -> bool:
        """Tell whether a measured row was the same with no more tokens a step."""
        same = ("stack", "label", "precision", "change")
        return all(row[k] == getattr(self, k) for k in same) and (
            self.rows * self.length >= row["rows"] * row["length"]
        )


@dataclass(frozen=True)
class Check(Case):
    """A comparison of the fast path with the plain path; ``kind`` says of what."""

    kind: str = ""
    tolerance: float = 0.0

    @property
    def name(self) -> str:
        """What tells the check from all cases."""
        return f"{super().name}/{self.kind}"


def checks(small: bool, quick: dict) -> Iterator[Check]:
    """Yield the checks: documents apart, and the same loss curves in the precisions of studies."""
    length, rows = (32, 2) if small else (512, 4)
    options = {"rows": 1, "length": 1024, "fast": quick, "method": MEASURED["sft"]}
    # In units of what rounding to bfloat16 does to a document alone.
    yield Check("checks", "nemo", "sft", **options, kind="packed = alone", tolerance=2.0)
    # Products in float16 round to 5e-4; without a GPU it has no loss scale to be used with.
    for precision, tolerance in (("32-true", 1e-5), *([] if small else [("16-mixed", 5e-3)])):
        yield Check("checks", "nemo", "sft", 1, 64, precision, MEASURED["sft"], quick,
                    kind="loss of a chunk", tolerance=tolerance)  # fmt: skip
    # Both paths sum in float32; in bfloat16 they round at other places.
    for precision, tolerance in (("32-true", 1e-4), ("bf16-mixed", 2e-2)):
        fast = quick | {"fuse_projections": precision == "32-true"}
        for label in ("sft", "lora r16"):
            yield Check(
                "checks", "nemo", label, rows, length, precision, MEASURED[label], fast,
                kind="same loss curve", tolerance=tolerance,
            )  # fmt: skip


def cases(shape: str, parts: list[str], repeats: int) -> Iterator[Case]:
    """Yield the cases of the parts; those that are compared stand beside each other."""
    small = shape == "tiny"
    length, rows = (32, 2) if small else (1024, 8)
    # Compiling takes a CPU longer than all the rest; its gain has a case of its own.
    quick = FAST | {"compile_layers": not small, "cuda_graphs": not small}
    if "checks" in parts:
        yield from checks(small, quick)
    pair = {name: MEASURED[name] for name in ("sft", "lora r16")}
    if "speed" in parts:
        for repeat in range(repeats):
            for label, method in pair.items():
                for stack in ("transformers", "nemo"):
                    yield Case("speed", stack, label, rows, length, method=method, fast=quick,
                               repeat=repeat)  # fmt: skip
    if "batches" in parts:
        # Where there is memory for it, nothing has to be computed again.
        whole = quick | {"activation_budget": 1.0, "cross_entropy_chunk": LARGE_CHUNK}
        for larger in (4,) if small else (16, 32, 64, 96, 128):
            for label, method in pair.items():
                for stack in ("transformers", "nemo"):
                    yield Case("batches", stack, label, larger, length, method=method, fast=whole)
    if "gains" in parts:
        for repeat in range(repeats):
            for label, method in pair.items():
                for change, keys in GAINS.items():
                    fast = keys | ({"cuda_graphs": False} if small else {})
                    yield Case("gains", "nemo", label, rows, length, method=method, fast=fast,
                               change=change, repeat=repeat)  # fmt: skip
    if "precisions" in parts:
        # torch has float16 with a loss scale on a GPU only.
        kinds = ["32-true", "bf16-true", "bf16-mixed", *([] if small else ["16-mixed"])]
        for label, method in pair.items():
            for kind in kinds:
                # What one of them cannot use, none does.
                fast = quick | {"fused_optimiser": False, "fuse_projections": False}
                yield Case("precisions", "nemo", label, rows, length, kind, method, fast)
    if "methods" in parts:
        for more in (1, 2) if small else (2, 4, 16):
            for label, method in MEASURED.items():
                yield Case("methods", "nemo", label, more, 2 * length, method=method, fast=quick)
