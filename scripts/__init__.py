# SPDX-License-Identifier: Apache-2.0
"""Scripts that developers and `make` run; services do not use them."""
