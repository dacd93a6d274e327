# SPDX-License-Identifier: Apache-2.0
"""The city on one machine: a real Kafka without containers, and a supervisor that keeps its parts alive."""
