"""Several networks that vote: the mean of their probabilities.

AlexNet (Krizhevsky et al. 2012, Section 6), VGG (Simonyan and Zisserman 2014, Section 4.4),
GoogLeNet (Szegedy et al. 2014, Section 7), ResNet (He et al. 2015, Table 5) and the
multi-column networks (Ciresan et al. 2012, equation 1) all average softmax outputs.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.evaluation.predictions import Predictions, check_same_examples


def ensemble(members: Sequence[Predictions], *, label: str | None = None) -> Predictions:
    """Return the predictions of the members' mean probability.

    Members may have been evaluated under different protocols; the ensemble's is then
    theirs with ``+`` between.

    Args:
        members: of the same examples, one or more.
        label: of the ensemble; ``"ensemble of N"`` by default.

    Raises:
        UserError: no member, or members that differ in data, split or classes.
    """
    if not members:
        raise UserError("an ensemble needs a member")
    first = members[0]
    for other in members[1:]:
        check_same_examples(first, other)
    scores = np.stack([member.log_probabilities for member in members]).astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, and stays a wrong guess
        highest = scores.max(axis=0)
        total = np.exp(scores - highest).sum(axis=0)
        mean = highest + np.log(total) - np.log(len(members))
    protocols = dict.fromkeys(member.setting.protocol for member in members)
    return first._replace(
        log_probabilities=mean.astype(np.float32),
        setting=dataclasses.replace(
            first.setting,
            model=label or f"ensemble of {len(members)}",
            protocol="+".join(protocols),
        ),
    )
