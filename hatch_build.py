# SPDX-License-Identifier: Apache-2.0
"""Build hook: compiles the dashboard into web/static before a wheel or an editable install is made."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DashboardHook(BuildHookInterface[Any]):
    """Nothing to build yet: web/frontend does not exist."""
