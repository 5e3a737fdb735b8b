from .answering import PredictSettings as PredictSettings
from .answering import predict as predict
from .exporting import export_network as export_network
from .trained_network import TrainedNetwork as TrainedNetwork
