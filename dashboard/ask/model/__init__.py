"""A language model between question and answer, where the owner has named one."""
