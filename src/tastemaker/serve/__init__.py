"""Online: a model and a store become a service."""
