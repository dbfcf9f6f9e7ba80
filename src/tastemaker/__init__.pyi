# What the names that `__init__.py` imports when they are first used are, for type checkers.
from tastemaker.data.dataset import Dataset as Dataset
from tastemaker.data.load import load as load
from tastemaker.data.load import sample_path as sample_path
from tastemaker.data.quality import describe as describe
from tastemaker.errors import TastemakerError as TastemakerError
from tastemaker.evaluate.report import Report as Report
from tastemaker.evaluate.significance import compare as compare
from tastemaker.experiment.api import Parts as Parts
from tastemaker.experiment.api import evaluate_model as evaluate_model
from tastemaker.experiment.api import split as split
from tastemaker.experiment.api import train_model as train_model
from tastemaker.experiment.config import read_config as read_config
from tastemaker.experiment.run import train_run as train_run
from tastemaker.recommend.artifact import load as open  # noqa: F401
from tastemaker.recommend.artifact import save as save
from tastemaker.recommend.recommender import Recommender as Recommender

__version__: str
