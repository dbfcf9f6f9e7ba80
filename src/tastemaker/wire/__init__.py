"""What goes over the wire, for the service and its clients: structs and nothing else, so that a client needs no torch."""
