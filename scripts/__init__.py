# SPDX-License-Identifier: Apache-2.0
"""What is run by hand or by make, never by a service."""
