# SPDX-License-Identifier: Apache-2.0
"""Build hook: the dashboard is compiled into web/static before a wheel or an editable install is made."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DashboardHook(BuildHookInterface[Any]):
    """Run scripts/front_end.py; it is loaded by path, since an isolated build has no project on its path."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        _load(root / "scripts" / "front_end.py").FrontEnd(root).build()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
