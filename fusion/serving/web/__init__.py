"""The service over HTTP: routes, who may ask, what arrives, what is told."""
