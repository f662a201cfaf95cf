import numpy as np
import pytest
import torch

import tiny_model
from jadapt.core.errors import UserError
from jadapt.data.evaluation_rows import UNSCORED
from jadapt.models import loading, scoring, scratch


def test_the_same_seed_draws_the_same_model(tmp_path):
    one = tiny_model.save(tmp_path / "one", seed=3)
    two = tiny_model.save(tmp_path / "two", seed=3)
    other = tiny_model.save(tmp_path / "other", seed=4)
    weights = "model.safetensors"
    assert (one / weights).read_bytes() == (two / weights).read_bytes()
    assert (one / weights).read_bytes() != (other / weights).read_bytes()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("architecture", "qwen22", "architecture 'qwen22' is unknown; did you mean 'qwen2'?"),
        ("hidden_size", 30, "hidden_size 30 is not a multiple of 4"),
        ("num_key_value_heads", 3, "num_attention_heads 4 is not a multiple of 3"),
    ],
)
def test_impossible_shapes_are_named(key, value, words):
    with pytest.raises(UserError, match=words):
        scratch.build({**tiny_model.SETTINGS, key: value}, 10, tiny_model.SPECIAL_IDS)


def test_a_sequence_longer_than_the_models_is_refused(tmp_path):
    folder = tiny_model.save(tmp_path / "model")
    loading.check_sequence_length(folder, 64)
    with pytest.raises(UserError, match=r"sequence_length: 65 .* max_position_embeddings 64"):
        loading.check_sequence_length(folder, 65)


def test_an_empty_model_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="no model here"):
        loading.checkpoint(tmp_path)


def test_packed_documents_do_not_see_each_other():
    """Logits of a document in a packed row are those of the document alone."""
    model = tiny_model.build()
    rng = np.random.default_rng(0)
    documents = [rng.integers(4, tiny_model.VOCABULARY, size) for size in (5, 1, 9, 3)]
    packed = torch.tensor(np.concatenate(documents))[None]
    positions = torch.tensor(np.concatenate([np.arange(len(d)) for d in documents]))[None]
    with torch.no_grad():
        together = model(input_ids=packed, position_ids=positions).logits[0]
        alone = torch.cat(
            [model(input_ids=torch.tensor(document)[None]).logits[0] for document in documents]
        )
        # The mask matters: without restarting positions the documents see each other.
        mixed = model(input_ids=packed).logits[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert (mixed - alone).abs().max() > 1e-2


def test_scores_are_log_probabilities_and_ignore_padding():
    model = tiny_model.build()
    inputs = np.array([[1, 7, 8, 9]])
    labels = np.array([[7, 8, 9, UNSCORED]])
    batch = {"input_ids": inputs, "labels": labels, "position_ids": np.arange(4)[None]}
    loss, predicted = scoring.score(model, batch)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(inputs)).logits
    expected = -torch.log_softmax(logits, -1)[0, [0, 1, 2], [7, 8, 9]]
    np.testing.assert_allclose(loss[0, :3], expected.numpy(), rtol=1e-5)
    assert loss[0, 3] == 0
    assert (predicted == logits.argmax(-1).numpy()).all()


def test_the_mean_loss_weighs_tokens_and_restores_the_mode():
    model = tiny_model.build().train()
    rows = [
        {
            "input_ids": np.full(4, 5 + row),
            "labels": np.array([6, 7, 8, 9] if row else [6] + [UNSCORED] * 3),
            "position_ids": np.arange(4),
        }
        for row in range(3)
    ]
    means = [scoring.mean_loss(model, rows, size) for size in (1, 2, 3)]
    assert means == pytest.approx([means[0]] * 3, rel=1e-6)
    single = [scoring.mean_loss(model, [row], 1) for row in rows]
    assert means[0] == pytest.approx((single[0] + 4 * single[1] + 4 * single[2]) / 9)
    assert model.training
