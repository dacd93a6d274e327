# SPDX-License-Identifier: Apache-2.0
"""Attacks on a gateway, and six ordinary clients beside them."""
