"""How each kind of task is scored: statistics that add up, official scores, calibration.

The formulas of ABAW:

| | edition 2 | edition 3 and later |
|---|---|---|
| VA | mean CCC of valence and arousal | the same |
| EXPR | 0.67 macro-F1 + 0.33 accuracy, 7 classes | macro-F1, 8 classes |
| AU | 0.5 mean binary F1 + 0.5 accuracy, 12 units | mean binary F1, 12 units |
| MTL | | P = VA + EXPR + AU |
| CE | | macro-F1, 7 classes (editions 6 to 8) |
"""
