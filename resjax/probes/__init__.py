"""Measured reasons why networks differ: gradients, activations, ablations, saliency, and the shape of the loss.

Probes change blocks by arrays (`Changes`), so one compiled program serves every lesion and dose. A plain block that
changes the shape cannot be removed (null in the record); means use the blocks that keep the shape. Hessian-vector
products are reverse over reverse; forward over reverse would change the last bits of the records. Gradients and
curvature use the batch's statistics, as training does; lesions, landscape, saliency and linear probes the running
ones; dose, shattering and connectivity estimate them anew. An explanation is supported if the interval over seeds
(three or more) excludes zero in its direction and the mean passes the threshold. The intervals of all explanations
that are judged, of all pairs of twins, hold together with 95 %.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
