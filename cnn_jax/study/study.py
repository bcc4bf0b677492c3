"""``Study``: a question, a baseline in each setting, and arms that edit it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import Experiment
from cnn_jax.registry import check_name, lookup
from cnn_jax.study.results import PublishedColumn

Edit = Callable[[Experiment], Experiment]


@dataclass(frozen=True)
class Arm:
    """One row of a study's table.

    Attributes:
        label: for people, e.g. ``"-6,7"``.
        edit: makes the arm from the baseline; pure. See ``study/edits.py``.
    """

    label: str
    edit: Edit


@dataclass(frozen=True, kw_only=True)
class Study:
    """An ablation: the same question at the scale the user has.

    Attributes:
        name: of the file that declares it, filled in when it is loaded.
        title: of the report.
        question: in one sentence.
        source: paper and table.
        settings: a baseline experiment for each; the first is the default.
        arms: in the order of the table.
        baseline: the arm that the others are compared with.
        default_arms: the arms that run unless told otherwise; empty for all.
        published: numbers of papers, shown in columns of their own.
        printed: the setting whose network is the paper's; its parameters are reported
            beside those of the network that was trained.
        seeds: how many runs an arm gets unless told otherwise.
        notes: sentences that belong under the table.
        descriptions: of settings, one sentence each.

    Raises:
        ValueError: names that do not fit.
    """

    name: str = "study"
    title: str
    question: str
    source: str
    settings: Mapping[str, Experiment]
    arms: Mapping[str, Arm]
    baseline: str
    default_arms: tuple[str, ...] = ()
    published: tuple[PublishedColumn, ...] = ()
    printed: str | None = None
    seeds: int = 5
    notes: tuple[str, ...] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.arms:
            check_name(name, what="arm")
        if "all" in self.arms:
            raise ValueError("no arm may be called 'all': --arms all means every arm")
        named = {name for column in self.published for name in column.values}
        missing = {self.baseline, *self.default_arms, *named} - set(self.arms)
        if missing:
            raise ValueError(f"not among the arms {list(self.arms)}: {sorted(missing)}")
        if not self.settings:
            raise ValueError("a study needs at least one setting")
        if self.printed is not None and self.printed not in self.settings:
            raise ValueError(f"printed={self.printed!r} is not among {list(self.settings)}")

    def setting(self, name: str | None) -> tuple[str, Experiment]:
        """Return the name and the baseline of a setting; of the first one for None.

        Raises:
            UserError: no such setting.
        """
        chosen = next(iter(self.settings)) if name is None else name
        return chosen, lookup(
            self.settings, chosen, what=f"dataset for the study {self.name}"
        )

    def select(self, names: tuple[str, ...] | None) -> dict[str, Arm]:
        """Return the chosen arms in the order of the table, the baseline always included.

        Args:
            names: arm names, ``("all",)``, or None for the default.

        Raises:
            UserError: no such arm.
        """
        if names is not None and not names:
            raise UserError(f"no arms; known: {', '.join(self.arms)}, or all")
        chosen = set(names or self.default_arms or self.arms)
        if chosen == {"all"}:
            chosen = set(self.arms)
        for name in chosen:
            lookup(self.arms, name, what="arm")
        return {n: arm for n, arm in self.arms.items() if n in {*chosen, self.baseline}}
