# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that measure the figures in the documentation."""
