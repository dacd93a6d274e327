# SPDX-License-Identifier: Apache-2.0
"""A swarm of clients that check everything they are shown against the log itself (docs/load-test.md)."""
