"""The lines of our logs: what can stand in the order log, and older lines read as today's."""
