"""Whether the fast path computes what the plain path does, on the card that is measured."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from gpu_cases import Check
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from jadapt.methods import registry
from jadapt.training.kernels.attention import document_boundaries, without_mask
from jadapt.training.kernels.compiling import compile_layers
from jadapt.training.kernels.cross_entropy import IGNORED, linear_cross_entropy
from jadapt.training.run import LOG, Places, Run

# Documents of one row of 1,024 tokens; none of them a multiple of what kernels divide rows into.
LENGTHS = [100, 1, 300, 7, 616]
STEPS = 8


def packed_against_alone(bench, check: Check) -> dict:
    """Compare logits of documents in one row with those of each alone, and let one change.

    Returns:
        ``difference``: the largest error against float32 logits of each document alone, over that
        of its bfloat16 logits alone, so that 1 is the error of rounding; ``leak``: by how much any
        logit changes with the tokens of another document.
    """
    model = AutoModelForCausalLM.from_pretrained(bench.model, torch_dtype=torch.bfloat16)
    model.to(bench.device).eval()
    if check.fast["compile_layers"]:
        compile_layers(model)
    edges = np.cumsum([0, *LENGTHS])
    documents = list(pairwise(edges.tolist()))
    positions = torch.cat([torch.arange(n) for n in LENGTHS])[None].to(bench.device)
    generator = np.random.default_rng(0)
    tokens = generator.integers(3, bench.shape["vocabulary"], (1, edges[-1]))
    ids = torch.from_numpy(tokens).to(bench.device)
    kernel = bench.device.type == "cuda"
    more = {"boundaries": document_boundaries(positions)} if kernel else {}

    @torch.no_grad()
    def logits(ids: torch.Tensor) -> torch.Tensor:
        if not kernel:
            return model(input_ids=ids, position_ids=positions).logits[0].float()
        with without_mask(model):
            return model(input_ids=ids, position_ids=positions, **more).logits[0].float()

    packed = logits(ids)
    begin, end = documents[2]
    other = ids.clone()
    other[:, begin:end] = torch.randint_like(other[:, begin:end], 3, bench.shape["vocabulary"])
    elsewhere = torch.ones(edges[-1], dtype=torch.bool, device=bench.device)
    elsewhere[begin:end] = False
    leak = (logits(other) - packed)[elsewhere].abs().max().item()

    @torch.no_grad()
    def alone() -> torch.Tensor:
        with torch.compiler.set_stance("force_eager"):
            parts = [model(input_ids=ids[:, a:b]).logits[0].float() for a, b in documents]
        return torch.cat(parts)

    rounded = alone()
    model.float()
    exact = alone()
    errors = [(logits - exact).abs().max().item() for logits in (packed, rounded)]
    return {"difference": errors[0] / errors[1], "leak": leak}


def same_curve(bench, check: Check) -> dict:
    """Train on packed documents by both paths; return the largest relative difference of a loss."""
    plain, fast = (losses(bench, check, fast) for fast in ({"deterministic": False}, check.fast))
    differences = [abs(a - b) / b for a, b in zip(fast, plain, strict=True)]
    return {"difference": max(differences), "first_loss": plain[0], "last_loss": plain[-1]}


def losses(bench, check: Check, fast: dict) -> list[float]:
    """Return the loss of every step of a short training."""
    from gpu_measuring import RECIPE, TOKENIZER

    folder = bench.work / "checks"
    tokens = _walks(bench)
    settings = {
        **RECIPE, **check.method, "run": check.label, "accelerator": bench.accelerator,
        "precision": check.precision, "sequence_length": check.length, "fast": fast,
        "global_batch_size": 2 * check.rows, "micro_batch_size": check.rows, "steps": STEPS,
        "learning_rate": 1e-3, "log_interval": 1,
    }  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    places = Places(bench.model, tokens, folder / "checkpoints", folder / "output")
    Run(settings, places, TOKENIZER, bench.module).train()
    lines = map(json.loads, (folder / "checkpoints/task" / LOG).read_text().splitlines())
    return [line["training_loss"] for line in lines if "training_loss" in line]


def _walks(bench) -> dict[str, Path]:
    """Write documents of many lengths that can be learnt: walks over a few tokens."""
    from gpu_measuring import write_tokens

    folders = {domain: bench.work / "walks" / domain for domain in ("known", "task")}
    for number, folder in enumerate(folders.values()):
        for split, count in (("train", 2000), ("validation", 40)):
            if not (folder / split / "meta.json").exists():
                generator = np.random.default_rng(number)
                documents = [
                    3 + (generator.integers(200) + np.arange(length) * 7) % 200
                    for length in generator.integers(4, 120, count)
                ]
                write_tokens(folder / split, documents)
    return folders


def loss_of_a_chunk(bench, check: Check) -> dict:
    """Compare the loss of a chunk and its gradients with torch's in float64, relatively; those of
    float16 with the loss scale that a run begins with, as an optimiser gets them."""
    torch.manual_seed(1)
    rows, width = 512, bench.shape["vocabulary"]
    half = check.precision == "16-mixed"
    hidden = torch.randn(rows, check.length, device=bench.device, requires_grad=True)
    matrix = torch.randn(width, check.length, device=bench.device) / check.length**0.5
    matrix.requires_grad_()
    labels = torch.randint(width, (rows,), device=bench.device)
    labels[::7] = IGNORED
    scale = 2.0**16 if half else 1.0
    with torch.autocast(bench.device.type, torch.float16, enabled=half):
        loss = linear_cross_entropy(hidden, matrix, labels, 100)
    (loss * scale).backward()
    exact = [tensor.detach().double().requires_grad_() for tensor in (hidden, matrix)]
    wanted = cross_entropy(exact[0] @ exact[1].T, labels, ignore_index=IGNORED)
    wanted.backward()
    # Words that are no label have the smallest gradients.
    absent = torch.ones(width, dtype=torch.bool, device=bench.device)
    absent[labels.clamp(min=0)] = False
    pairs = zip((hidden, matrix), exact, strict=True)
    gradients = [(mine.grad / scale, theirs.grad) for mine, theirs in pairs]
    gradients.append(tuple(gradient[absent] for gradient in gradients[1]))
    differences = [(loss - wanted) / wanted]
    differences += [(mine - theirs).norm() / theirs.norm() for mine, theirs in gradients]
    return {"difference": max(abs(float(d)) for d in differences)}


KINDS = {
    "packed = alone": packed_against_alone,
    "loss of a chunk": loss_of_a_chunk,
    "same loss curve": same_curve,
}


def run(bench, check: Check) -> dict:
    """Run one check."""
    registry.create(check.method["method"], check.method)
    return KINDS[check.kind](bench, check)
