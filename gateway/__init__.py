# SPDX-License-Identifier: Apache-2.0
"""Fans the log out to browsers over WebSockets: one stream, the same for everyone."""
