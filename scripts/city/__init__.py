# SPDX-License-Identifier: Apache-2.0
"""How the folders in `taxi/cities/` are made, one module a layer."""
