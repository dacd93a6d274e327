# SPDX-License-Identifier: Apache-2.0
"""Helpers that tests, benchmarks and scripts share. They are not part of the wheel."""
