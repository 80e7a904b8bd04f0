"""How the packaged `face` encoder is trained, fitted and compared with its anchors."""
