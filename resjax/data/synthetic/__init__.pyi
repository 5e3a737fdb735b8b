from .source import CLASSES as CLASSES
from .source import Drawing as Drawing
from .source import draw_dish as draw_dish
from .source import plan as plan
from .source import png_bytes as png_bytes
