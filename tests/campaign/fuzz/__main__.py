"""`python -m tests.campaign.fuzz`: see `fuzz.py`."""

import sys

from tests.campaign.fuzz.fuzz import main

sys.exit(main())
