# SPDX-License-Identifier: Apache-2.0
"""The load test's clients, all on one event loop."""
