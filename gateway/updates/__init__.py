# SPDX-License-Identifier: Apache-2.0
"""The rows of the city at a cut (`CityView`), and the updates between cuts: difference, encoding, hash."""
