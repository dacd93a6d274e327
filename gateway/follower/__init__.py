# SPDX-License-Identifier: Apache-2.0
"""Follows the log: restores a city view at the start, then reads what is appended."""
