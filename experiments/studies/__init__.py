"""Studies of what the parts are worth."""
