# SPDX-License-Identifier: Apache-2.0
"""Matches ride requests to drivers: decides from a cut of the log, publishes in transactions."""
