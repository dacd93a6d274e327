# SPDX-License-Identifier: Apache-2.0
"""The load test: clients that check every update against the log (docs/load-test.md)."""
