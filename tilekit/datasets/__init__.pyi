# What the room offers; loaded on first use.
from .building import tile_dataset as tile_dataset
from .carrying import CarryingRules as CarryingRules
from .options import DatasetOptions as DatasetOptions
from .options import Decoys as Decoys
from .plan import Plan as Plan
from .planning import recommend_tiling as recommend_tiling
from .splitting import Split as Split
from .splitting import split_pages as split_pages
from .summary import DatasetSummary as DatasetSummary
from .writing import Encoding as Encoding
