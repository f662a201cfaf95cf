"""Attention within documents needs no mask, and computes what the mask would."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional
from transformers import AttentionInterface

import tiny_study
from jadapt.training.kernels import attention


def watch_attention(monkeypatch):
    """Return a list that gets, a call, whether attention was told boundaries of documents."""
    seen = []

    def spy(*arguments, boundaries=None, **options):
        seen.append(boundaries is not None)
        return attention.attend(*arguments, boundaries=boundaries, **options)

    # Restored after the test.
    monkeypatch.setitem(AttentionInterface._global_mapping, attention.IMPLEMENTATION, spy)
    return seen


def whole_rows(study, folder):
    """Write token files whose documents fill one row each."""
    for domain in tiny_study.DOMAINS:
        for split in ("train", "validation"):
            documents = [[5 + (i + j) % 50 for j in range(15)] for i in range(40)]
            tiny_study.write_tokens(folder / "tokens" / domain / split, documents)
    (folder / "model").symlink_to(study / "model")
    return folder


def test_rows_of_one_document_need_no_mask_and_others_keep_theirs(
    study, module, tmp_path, monkeypatch
):
    """The mask is what changes, not the loss; rows that hold several documents are left alone."""
    seen = watch_attention(monkeypatch)
    rows = whole_rows(study, tmp_path / "whole")
    options = {"sequence": ["first"], "steps": 6}
    flash = {"fast": {"flash_attention": True}}
    plain = tiny_study.losses(rows, tmp_path / "a", module, **options)
    assert not seen
    quick = tiny_study.losses(rows, tmp_path / "b", module, **options, **flash)
    assert seen and not any(seen)
    assert quick == pytest.approx(plain, rel=1e-4)
    seen.clear()
    packed = tiny_study.losses(study, tmp_path / "c", module, **options)
    assert tiny_study.losses(study, tmp_path / "d", module, **options, **flash) == packed
    assert not seen


def document_by_document(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale, **options):
    """What torch's kernel computes: causal attention within each document alone."""
    assert options["window_size"] == (-1, 0) and cu_seq_q is cu_seq_k
    parts = []
    for begin, end in pairwise(cu_seq_q.tolist()):
        assert 0 <= end - begin <= max_q
        if begin < end:
            heads = (t[begin:end].transpose(0, 1)[None] for t in (query, key, value))
            part = functional.scaled_dot_product_attention(
                *heads, is_causal=True, scale=scale, enable_gqa=True
            )
            parts.append(part[0].transpose(0, 1))
    return torch.cat(parts)


def test_packed_documents_are_kept_apart_by_the_kernel_as_by_the_mask(
    study, module, tmp_path, monkeypatch
):
    """With the kernel's work done a document at a time, as the kernel itself needs a GPU."""
    options = {"sequence": ["first"], "steps": 6}
    plain = tiny_study.losses(study, tmp_path / "a", module, **options)
    seen = watch_attention(monkeypatch)
    monkeypatch.setattr(attention, "has_kernel", lambda model, precision: True)
    monkeypatch.setattr(attention.varlen, "varlen_attn", document_by_document)
    options["fast"] = {"flash_attention": True}
    assert tiny_study.losses(study, tmp_path / "b", module, **options) == pytest.approx(
        plain, rel=1e-4
    )
    assert seen and all(seen)


def test_boundaries_are_where_positions_do_not_count_on():
    positions = torch.tensor([[0, 1, 2, 0, 1], [0, 0, 1, 2, 3], [3, 4, 0, 1, 2]])
    expected = [0, 3, 5, 6, 10, 12]
    assert attention.document_boundaries(positions).tolist() == [*expected, 15, 15, 15]
    whole = torch.arange(4).expand(2, 4)
    assert attention.one_document_each(whole) and not attention.one_document_each(positions)
    assert attention.document_boundaries(whole).tolist() == [0, 4, 8]


def test_attention_over_documents_refuses_what_it_does_not_compute():
    heads = torch.zeros(1, 2, 4, 8)
    for mask, keys in ((torch.zeros(1, 1, 4, 4), heads), (None, heads[:, :, :3])):
        with pytest.raises(ValueError, match="mask or keys from elsewhere"):
            attention.attend(torch.nn.Identity(), heads, keys, keys, mask)
