"""How each kind of task learns: head, loss, what a teacher adds."""
