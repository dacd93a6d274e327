# SPDX-License-Identifier: Apache-2.0
"""Policies held against one another: the same city in virtual time, without Kafka, by the same cores."""
