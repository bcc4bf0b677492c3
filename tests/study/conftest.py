"""A study with made-up numbers, for the tests of the report only."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from cnn_jax.study.results import ArmRuns, PublishedColumn, StudyFacts

EPOCHS = 12


@dataclass
class MadeUp:
    """Counts of wrong test images, one a seed; None is a run that diverged at step 37."""

    counts: dict[str, list[int | None]] = field(
        default_factory=lambda: {
            "full": [9, 7, 10, 8, 9],
            "without_7": [9, 8, 9, 9, 8],
            "without_6_7": [12, 10, 12, 11, 11],
            "without_3_4": [13, 12, None, 14, 12],
            "without_3_4_6_7": [30, 25, 33, 28, 31],
        }
    )
    labels: dict[str, str] = field(
        default_factory=lambda: {
            "without_7": "-7",
            "without_6_7": "-6,7",
            "without_3_4": "-3,4",
            "without_3_4_6_7": "-3,4,6,7",
        }
    )
    removed: dict[str, int] = field(
        default_factory=lambda: {
            "without_7": 4000,
            "without_6_7": 9000,
            "without_3_4": -500,
            "without_3_4_6_7": 8500,
        }
    )
    examples: int = 360
    resumed: int = 0
    published: tuple[PublishedColumn, ...] = (
        PublishedColumn(
            title="top-1 %",
            source="A paper, Table 3 (its own data)",
            values={
                "full": 40.5,
                "without_7": 40.0,
                "without_6_7": 44.8,
                "without_3_4": 45.4,
                "without_3_4_6_7": 71.3,
            },
        ),
        PublishedColumn(title="drop", source="A lecture", values={"without_7": 1.1}),
    )

    def facts(self, **changes):
        seeds = max(len(c) for c in self.counts.values())
        given = {
            "name": "layer_removal",
            "title": "Layers removed from a network",
            "question": "Which layers carry the network?",
            "study_source": "A paper, Table 3",
            "setting": "digits",
            "setting_description": "a small network at 32 x 32 x 1, 12 epochs, batch 50",
            "dataset_label": "digits (scikit-learn)",
            "dataset_fingerprint": "0f" * 32,
            "sizes": {"train": 1257, "validation": 180, "test": self.examples},
            "baseline": "full",
            "seeds": tuple(range(seeds)),
            "published": self.published,
            "printed_network": "the paper's network at 227x227, 1000 classes",
            "identity": "ab" * 32,
            "command": "cnn-jax study layer_removal",
            "commit": "c0ffee" * 6 + "c0ff",
            "versions": {"cnn_jax": "0.1.0", "jax": "0.10.2"},
            "device": "CPU, 2 cores",
            "started": "2026-01-02T03:04:05+00:00",
            "wall_seconds": 123.4,
            "notes": ("The numbers are made up.",),
        }
        return StudyFacts(**(given | changes))

    def arms(self):
        return [self._arm(name, counts) for name, counts in self.counts.items()]

    def _arm(self, name, counts):
        removed = self.removed.get(name, 0)
        return ArmRuns(
            name=name,
            label=self.labels.get(name, name),
            parameters=20_000 - removed,
            removed_trained=removed,
            removed_printed=1000 * removed,
            printed_parameters=60_000_000 - 1000 * removed,
            runs=tuple(self._run(seed, wrong) for seed, wrong in enumerate(counts)),
            curves=tuple(self._curve(seed, wrong) for seed, wrong in enumerate(counts)),
        )

    def _run(self, seed, wrong):
        lost = wrong is None
        error = None if lost else wrong / self.examples
        return {
            "seed": seed,
            "status": "diverged" if lost else "finished",
            "diverged_at_step": 37 if lost else None,
            "test_error": error,
            "test_wrong": wrong,
            "test_examples": None if lost else self.examples,
            "validation_error": error,
            "train_error": None if lost else 0.4 * error,
            "images_per_second": 4321.0 + seed,
            "steps": 37 if lost else 300,
            "wall_seconds": 4.5 + seed,
            "resumed_at_step": self.resumed,
            "parameters_sha256": f"{seed:064x}",
        }

    def _curve(self, seed, wrong):
        random = np.random.default_rng(seed + (wrong or 0))
        last = 3 if wrong is None else EPOCHS
        final = (wrong or 9) / self.examples
        for_epoch = [final + (0.9 - final) * np.exp(-0.9 * e) for e in range(1, last + 1)]
        return tuple(
            {
                "epoch": float(e),
                "step": 25 * e,
                "validation_error": round(v * random.uniform(0.85, 1.15) * 180) / 180,
                "validation_loss": 1.0,
                "train_loss": 1.0,
                "train_error": v,
                "rate": 0.01,
                "images_per_second": 4321.0,
            }
            for e, v in enumerate(for_epoch, start=1)
        )


@pytest.fixture
def made_up():
    """The example; change its fields before asking for facts and arms."""
    return MadeUp()
