# SPDX-License-Identifier: Apache-2.0
"""Compares policies: runs the same city in virtual time, without Kafka, with the live system's core code."""
