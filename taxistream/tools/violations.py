# SPDX-License-Identifier: Apache-2.0
"""Counts violations of named rules and keeps the first few of each as text; for audit and load test."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

_EXAMPLES_MAX: Final = 3


@dataclass
class Violations:
    """The violations of the rules of `RULES`, which a subclass gives."""

    RULES: ClassVar[Mapping[str, str]]
    """Rule → what it requires."""

    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Rule → the details of the first few violations."""

    def blame(self, rule: str, *details: object) -> None:
        """Count a violation of a rule; keep the details of the first few."""
        assert rule in self.RULES, rule
        self.violations[rule] += 1
        examples = self.examples.setdefault(rule, [])
        if len(examples) < _EXAMPLES_MAX:
            examples.append(" ".join(map(str, details)))

    def violations_report(self) -> dict[str, Any]:
        """The counts, their sum and the examples, sorted by rule, for `--json`."""
        return {
            "violations": dict(sorted(self.violations.items())),
            "violations_total": self.violations.total(),
            "examples": {rule: list(texts) for rule, texts in sorted(self.examples.items())},
        }
