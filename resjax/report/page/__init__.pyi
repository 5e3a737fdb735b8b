from .gallery import galleries as galleries
from .gallery import pictures_of as pictures_of
from .reproduction_page import reproduction_figures as reproduction_figures
from .run_page import report_page as report_page
