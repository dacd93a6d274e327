# SPDX-License-Identifier: Apache-2.0
"""What every service stands on: settings, environment, logging, metrics, the admin port."""
