"""The packaged `face` encoder: network, what was fitted to it, and the encoder that runs both."""
