"""What the exchange shows, rounded as Deribit rounds: for the JSON API and for the client in process."""
