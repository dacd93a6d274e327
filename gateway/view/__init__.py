# SPDX-License-Identifier: Apache-2.0
"""What is taxi in the stream: the rows of the city at a cut, and how they changed."""
