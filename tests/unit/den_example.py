"""A dynamically expandable network that learns rows of random tokens by heart."""

import torch
from torch.nn import functional

import tiny_model
from jadapt.methods.peft.den import DEN
from jadapt.methods.peft.targets import LINEAR_LAYERS

SETTINGS = {
    "target_modules": list(LINEAR_LAYERS),
    "units": 2,
    "maximum_units": 4,
    "expansion_threshold": 0.75,
    "selection_share": 0.25,
    "sparsity": 0.5,
    "group_sparsity": 0.02,
    "drift_penalty": 0.1,
    "drift_threshold": 0.6,
    "expansion_interval": 4,
}
STEPS, RATE = 16, 1e-2
IDS = torch.tensor([[1, 5, 9, 13, 21], [2, 40, 7, 7, 30]])


def adapted(seed=0, **changes):
    model = tiny_model.build(seed)
    method = DEN({**SETTINGS, **changes})
    method.apply(model)
    return model, method


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def pattern(task):
    """Rows of random tokens that are the same at every step: something to learn by heart."""
    return torch.randint(
        3, tiny_model.VOCABULARY, (2, 13), generator=torch.Generator().manual_seed(task)
    )


def loss_on(model, task):
    rows = pattern(task)
    scores = model(input_ids=rows[:, :-1]).logits
    return functional.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten())


def optimiser_of(model):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trained, lr=RATE, weight_decay=0.1)


def take_steps(model, method, optimiser, task, first, last):
    for step in range(first, last + 1):
        optimiser.zero_grad()
        loss_on(model, task).backward()
        optimiser.step()

        def validation_loss():
            with torch.no_grad():
                return loss_on(model, task).item()

        method.after_step(model, step, STEPS, RATE, validation_loss)


def train(model, method, task):
    method.begin_task(model, task)
    take_steps(model, method, optimiser_of(model), task, 1, STEPS)
    method.end_task(model, task)
