"""What a page says to a reader."""

import html
import re
from html.parser import HTMLParser


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the text between them."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def text_of(markup: str) -> str:
    """The text of a page or a part of it, without tags; words may be links."""
    return html.unescape(re.sub("<[^>]*>", "", markup)).replace("\N{NO-BREAK SPACE}", " ")
