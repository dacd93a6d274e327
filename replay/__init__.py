# SPDX-License-Identifier: Apache-2.0
"""Decides recorded batches again, with the dispatcher's own code, and compares them byte for byte."""
