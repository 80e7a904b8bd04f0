"""Parts that fusions and temporal parts are made of."""
