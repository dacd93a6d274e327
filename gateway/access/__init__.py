# SPDX-License-Identifier: Apache-2.0
"""Tokens and rate limits, for HTTP and the stream alike."""
