# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the simulator: ready at once, does nothing."""
