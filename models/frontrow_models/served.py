"""What is served beside each snapshot, in this order, and judged when its outcome is final.

First what was shown (NaN while the model is not ready: it promises nothing) and the champion's own, raw; then what
both must beat: the base rate as it was known, points alone, and how recently the viewer has commented (comments, each
weighing half as much a minute later).
"""

from frontrow_models.evaluation.judging import BASELINES, Column

SERVED = (Column("shown"), Column("champion"), *BASELINES)
LOGITS = 2  # of these, from the first on, are served as logits: single precision keeps both of their ends
