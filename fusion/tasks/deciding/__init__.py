"""How each kind of task turns scores into final values, and what tuning chooses."""
