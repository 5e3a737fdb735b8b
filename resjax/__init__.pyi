from .data.dataset import Dataset as Dataset
from .errors import BadInput as BadInput
from .functional import Functional as Functional
from .models.architecture import ARCHITECTURES as ARCHITECTURES
from .models.architecture import SHORTCUTS as SHORTCUTS
from .models.architecture import STEMS as STEMS
from .models.architecture import Architecture as Architecture
from .models.architecture import architecture as architecture
from .models.blocks import BasicBlock as BasicBlock
from .models.blocks import BottleneckBlock as BottleneckBlock
from .models.blocks import PreactivationBlock as PreactivationBlock
from .models.blocks import PreactivationBottleneckBlock as PreactivationBottleneckBlock
from .models.network import Network as Network
from .models.network import Stem as Stem
from .models.network import build as build
from .models.normalization import BatchNorm as BatchNorm
from .models.residual import BlockVariant as BlockVariant
from .models.torch_weights import Loaded as Loaded
from .models.torch_weights import load_weights as load_weights
from .models.torch_weights import save_weights as save_weights
from .run.setup.costs import Ledger as Ledger
from .run.setup.costs import forward_flops as forward_flops
from .run.setup.costs import ledger as ledger
from .run.setup.costs import parameter_count as parameter_count
from .types import Batch as Batch
from .types import Variables as Variables

__version__: str
