"""What a page says to a reader."""

import html
import re


def text_of(markup: str) -> str:
    """The text of a page or a part of it, without tags; words may be links."""
    return html.unescape(re.sub("<[^>]*>", "", markup)).replace("\N{NO-BREAK SPACE}", " ")
