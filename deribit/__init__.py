"""What stands behind deribit_client: the wire, and what Deribit's JSON means in our units."""
