# SPDX-License-Identifier: Apache-2.0
"""Simulated drivers and riders on the real street network."""
