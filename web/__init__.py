# SPDX-License-Identifier: Apache-2.0
"""The page: a Jinja2 shell and the TypeScript dashboard."""
