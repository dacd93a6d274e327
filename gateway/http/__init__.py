# SPDX-License-Identifier: Apache-2.0
"""Everything that a gateway answers over HTTP."""
