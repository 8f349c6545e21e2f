# What the room offers; loaded on first use.
from .detector import RekognitionDetector as RekognitionDetector
from .detector import Trained as Trained
from .labels_detector import LabelsDetector as LabelsDetector
from .model import Model as Model
from .project import RekognitionProject as RekognitionProject
from .text import TextDetector as TextDetector
from .training import TrainingOptions as TrainingOptions
from .workspace import ProjectOptions as ProjectOptions
