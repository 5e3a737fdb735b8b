from .drawn_run import conclusion as conclusion
from .run_figures import draw_figures as draw_figures
from .split_figures import draw_splits as draw_splits
from .style import save as save
from .sweep_figures import draw_sweep as draw_sweep
