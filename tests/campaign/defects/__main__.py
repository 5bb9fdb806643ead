"""`python -m tests.campaign.defects`: see `mutants.py`."""

import sys

from tests.campaign.defects.mutants import main

sys.exit(main())
