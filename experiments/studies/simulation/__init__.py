"""How the simulated benchmark is made."""
