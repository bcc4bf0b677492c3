import dataclasses
from functools import partial

import flax.linen as nn
import pytest

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.experiment.recipe import pure_steps
from cnn_jax.training.losses import LabelSmoothing, cross_entropy
from cnn_jax.training.structured_losses import (
    multi_head_cross_entropy,
    multi_label_cross_entropy,
    sequence_cross_entropy,
)
from cnn_jax.training.tasks import LOSSES, check_loss
from cnn_jax.types import serves, task_of
from tests.tiny import EXPERIMENT


class Unsupervised(nn.Module):
    task = "unsupervised"


SERVED = {
    "mcdnn_mnist": "classify",
    "multidigit": "multi_head",
    "text_char": "sequence",
    "text_ngram": "multi_label",
}


@pytest.mark.parametrize("name", SERVED)
def test_each_task_has_losses_that_train_it_and_all_others_are_refused(name):
    model, task = cnn_jax.create_model(name), SERVED[name]
    assert task_of(model) == task
    fitting = [loss.__name__ for loss in LOSSES if task_of(loss) == task]
    assert fitting
    for loss in LOSSES:
        if loss.__name__ in fitting:
            check_loss(model, loss)
            continue
        with pytest.raises(UserError) as refusal:
            check_loss(model, loss)
        message = str(refusal.value)
        assert message.startswith(f"{loss.__name__} serves {task_of(loss)}; ")
        assert f"{type(model).__name__} is {task}, " in message
        assert message.endswith(", ".join(fitting))


def test_every_declared_task_is_that_of_the_module():
    specs = {name: cnn_jax.model_spec(name) for name in cnn_jax.list_models()}
    assert {name: task_of(spec.build) for name, spec in specs.items()} == {
        name: spec.task for name, spec in specs.items()
    }


def test_what_says_nothing_classifies_and_a_partial_says_what_it_wraps():
    assert task_of(cross_entropy) == task_of(LabelSmoothing(0.1)) == "classify"
    assert task_of(lambda logits, labels: logits) == "classify"
    assert task_of(partial(partial(sequence_cross_entropy))) == "sequence"

    @serves("multi_label")
    def own(logits, labels):
        return logits

    check_loss(cnn_jax.create_model("text_ngram"), own)
    assert own(3, 4) == 3


def test_what_learns_by_its_own_rule_is_pointed_to():
    with pytest.raises(UserError, match=r"Unsupervised is unsupervised.*learn\(variables"):
        check_loss(Unsupervised(), multi_label_cross_entropy)


def test_an_experiment_is_refused_before_anything_is_compiled():
    wrong = dataclasses.replace(EXPERIMENT, loss=multi_head_cross_entropy)
    with pytest.raises(UserError, match="multi_head_cross_entropy serves multi_head"):
        pure_steps(wrong, 64)
