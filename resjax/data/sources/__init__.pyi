from .catalogue import Catalogue as Catalogue
from .opening import open_catalogue as open_catalogue
