"""What each route does: the request is checked when a handler gets it; a handler calls the service and returns its answer."""
