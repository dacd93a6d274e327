# SPDX-License-Identifier: Apache-2.0
"""Many clients on one loop."""
