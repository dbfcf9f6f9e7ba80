"""The dashboard: pages over the service's API, as static files; they hold no data, and what they show comes from `/v1/…` alone."""
