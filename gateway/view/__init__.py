# SPDX-License-Identifier: Apache-2.0
"""The city view: the rows of the city at a cut, and the updates between cuts."""
