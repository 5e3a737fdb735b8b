from .merging import merged as merged
from .metrics import confusion_matrix as confusion_matrix
from .metrics import loss_and_accuracy as loss_and_accuracy
from .metrics import per_class_scores as per_class_scores
from .run_evaluation import correctness as correctness
from .run_evaluation import explained as explained
