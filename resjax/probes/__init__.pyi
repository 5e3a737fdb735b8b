from .ablations import lesions as lesions
from .ablations import shortcut_dose as shortcut_dose
from .flow import gradient_flow as gradient_flow
from .flow import linear_probes as linear_probes
from .flow import signal_flow as signal_flow
from .saliency import grad_cam as grad_cam
