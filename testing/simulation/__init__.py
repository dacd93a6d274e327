# SPDX-License-Identifier: Apache-2.0
"""The whole system under one seed: real shells, memory bus, virtual time, faults, an oracle."""
