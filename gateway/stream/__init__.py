# SPDX-License-Identifier: Apache-2.0
"""Cursors, cuts and sessions of one stream for many clients. Nothing here knows what the rows are of."""
