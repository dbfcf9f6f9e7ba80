"""A typed client of the service, for programs in Python."""
