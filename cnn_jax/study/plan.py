"""What a study will train, checked before anything is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnn_jax.codec import digest
from cnn_jax.data.dataset import Dataset
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import (
    Experiment,
    encode_experiment,
    identity_fields,
    with_epochs,
)
from cnn_jax.experiment.program import trace_experiment
from cnn_jax.layers.tracing import count_parameters
from cnn_jax.study.study import Arm, Study


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study in one setting, every arm edited and traced.

    Attributes:
        study: the declaration.
        setting: name of the setting.
        baseline: its experiment, with the user's overrides.
        asked: arms that must be run, in the order of the table.
        seeds: how many runs each of them gets.
        experiments: every arm of the study, edited.
        parameters: of every arm's network.
        printed_parameters: of the printed network under the same edits; empty if the
            study names none.
    """

    study: Study
    setting: str
    baseline: Experiment
    asked: tuple[str, ...]
    seeds: int
    experiments: Mapping[str, Experiment]
    parameters: Mapping[str, int]
    printed_parameters: Mapping[str, int]

    @property
    def directory(self) -> Path:
        """The default place: ``runs/NAME/SETTING``.

        A baseline that is not the declared one appends 8 hex digits of its identity.
        """
        return Path("runs") / self.study.name / f"{self.setting}{self._suffix}"

    @property
    def _suffix(self) -> str:
        changed = digest(identity_fields(self.baseline))
        declared = digest(identity_fields(self.study.settings[self.setting]))
        return "" if changed == declared else f"-{changed[:8]}"

    def manifest(self, dataset: Dataset) -> dict[str, Any]:
        """Return what the study's ``manifest.json`` says."""
        fields = identity_fields(self.baseline)
        return {
            "kind": "study",
            "identity": digest(
                [self.study.name, self.setting, fields, dataset.fingerprint]
            ),
            "study": self.study.name,
            "setting": self.setting,
            "experiment": encode_experiment(self.baseline),
            "dataset": {"label": dataset.label, "fingerprint": dataset.fingerprint},
        }


def plan_study(
    study: Study,
    *,
    setting: str | None = None,
    seeds: int | None = None,
    arms: tuple[str, ...] | None = None,
    epochs: float | None = None,
) -> StudyPlan:
    """Resolve the user's choices and try every arm without training it.

    Args:
        study: the declaration.
        setting: None for the study's first.
        seeds: runs an arm, seeds 0, 1, ...; None for the study's.
        arms: names, ``("all",)``, or None for the study's default.
        epochs: None for the setting's; another length stretches the schedule.

    Raises:
        UserError: unknown names, numbers out of range, or an arm that is no network, on
            this setting or on the printed one.
    """
    count = study.seeds if seeds is None else seeds
    if count < 1:
        raise UserError(f"seeds is {count}; at least 1 is needed")
    name, baseline = study.setting(setting)
    asked = tuple(study.select(arms))
    if epochs is not None:
        baseline = with_epochs(baseline, epochs)
    experiments = _all_edited(study, baseline)
    for arm in asked:
        _try(arm, experiments[arm])
    printed = {}
    if study.printed is not None:
        printed = _all_edited(study, study.settings[study.printed])
    return StudyPlan(
        study=study,
        setting=name,
        baseline=baseline,
        asked=asked,
        seeds=count,
        experiments=experiments,
        parameters={n: count_parameters(e.model) for n, e in experiments.items()},
        printed_parameters={n: count_parameters(e.model) for n, e in printed.items()},
    )


def _all_edited(study: Study, baseline: Experiment) -> dict[str, Experiment]:
    return {name: _edited(name, arm, baseline) for name, arm in study.arms.items()}


def _edited(name: str, arm: Arm, baseline: Experiment) -> Experiment:
    try:
        experiment = arm.edit(baseline)
    except (ValueError, TypeError) as error:
        raise UserError(f"arm {name}: {error}") from error
    if not isinstance(experiment, Experiment):
        raise UserError(f"arm {name}: its edit gave {type(experiment).__name__}")
    return experiment


def _try(name: str, experiment: Experiment) -> None:
    encode_experiment(experiment)  # refuses what could not be recorded
    try:
        trace_experiment(experiment)
    except (ValueError, TypeError) as error:
        raise UserError(f"arm {name}: {str(error).splitlines()[0]}") from error
