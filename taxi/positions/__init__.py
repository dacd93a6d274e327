# SPDX-License-Identifier: Apache-2.0
"""Positions of drivers: which of them count, as columns, and the newest of each driver."""
