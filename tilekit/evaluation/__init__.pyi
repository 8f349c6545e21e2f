# What the room offers; loaded on first use.
from .coco_metrics import coco_metrics as coco_metrics
from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .evaluating import evaluate as evaluate
from .matching import Matches as Matches
from .matching import match as match
from .merge_fitting import TunePage as TunePage
from .merge_fitting import fit_merge as fit_merge
from .merge_fitting import measure_jitter as measure_jitter
from .merge_fitting import measure_sizes as measure_sizes
from .result import Evaluation as Evaluation
from .rules import EvaluationRules as EvaluationRules
from .saved import read_evaluation as read_evaluation
from .service_tables import service_tables as service_tables
from .thresholds import fit_thresholds as fit_thresholds
