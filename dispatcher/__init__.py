# SPDX-License-Identifier: Apache-2.0
"""Matches ride requests to drivers: decides from batches of input, publishes in transactions."""
