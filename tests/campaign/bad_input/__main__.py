"""`python -m tests.campaign.bad_input`: see `rows.py`."""

import sys

from tests.campaign.bad_input.rows import main

sys.exit(main())
