# SPDX-License-Identifier: Apache-2.0
"""Programs that check, repeat, load and compare a city. Of the services only the verifier imports them."""
