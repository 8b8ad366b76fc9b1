"""A reference and windows of made numbers: what a version might see, without a network."""

from typing import Any

import numpy as np

from monitoring.windows import Window
from registry.versions.reference import Reference

WIDTH, COMPONENTS = 24, 8
STATISTICS = ("brightness", "contrast")


class World:
    """Draws photos of one distribution, moved by `shift` standard deviations."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.components = np.linalg.qr(rng.normal(size=(WIDTH, COMPONENTS)))[0].astype(np.float32)
        self.weight = rng.normal(size=WIDTH)
        self.mean = rng.normal(size=WIDTH).astype(np.float32)

    def window(self, count: int, rng: np.random.Generator, shift: float = 0.0) -> Window:
        inside = rng.normal(size=(count, COMPONENTS)) * 3
        rest = rng.normal(size=(count, WIDTH)) * 0.5
        embedding = self.mean + inside @ self.components.T + rest + shift * self.weight / np.linalg.norm(self.weight)
        chance = 1 / (1 + np.exp(-(embedding - self.mean) @ self.weight))
        centred = embedding - self.mean
        strange = 1 - np.linalg.norm(centred @ self.components, axis=1) / np.linalg.norm(centred, axis=1)
        return Window(
            probabilities=np.stack([chance, 1 - chance], axis=1).astype(np.float32),
            statistic_names=STATISTICS,
            statistics=(rng.normal(size=(count, 2)) + shift).astype(np.float32),
            strangeness=strange.clip(0, 1).astype(np.float32),
            embedding=embedding.astype(np.float32),
        )

    def reference(self, count: int, rng: np.random.Generator, **changed: Any) -> Reference:
        seen, worse = self.window(count, rng), self.window(count, rng, 1.0)
        assert seen.embedding is not None
        assert seen.statistics is not None
        assert seen.strangeness is not None
        assert worse.strangeness is not None
        arrays = {
            "probabilities": seen.probabilities,
            "truth": self.truth(seen, rng),
            "embedding": seen.embedding.astype(np.float16),
            "statistics": seen.statistics,
            "strangeness": seen.strangeness,
            "mean": self.mean,
            "components": self.components,
            "worse_probabilities": worse.probabilities,
            "worse_truth": self.truth(worse, rng),
            "worse_strangeness": worse.strangeness,
            "worse_kind": (np.arange(count) % 2).astype(np.uint8),
        }
        return Reference(
            labels=("cat", "dog"), statistic_names=STATISTICS, kinds=("night", "blur"), **(arrays | changed)
        )

    @staticmethod
    def truth(window: Window, rng: np.random.Generator) -> Any:
        """Classes by which the probabilities are calibrated."""
        return (rng.uniform(size=len(window)) >= window.probabilities[:, 0]).astype(np.uint16)
