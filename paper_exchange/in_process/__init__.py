"""The exchange in the process of its only client: the same account and market, without HTTP and JSON."""
