# SPDX-License-Identifier: Apache-2.0
"""What runs on the command line: the commands, the local demo and the tools."""
