# SPDX-License-Identifier: Apache-2.0
"""Replay: decides recorded batches again with the dispatcher's own code and compares the bytes."""
