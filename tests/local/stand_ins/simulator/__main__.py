# SPDX-License-Identifier: Apache-2.0
from stand_in import run

run()
