"""The defaults that commands leave out are those of the flags."""

from resjax.cli.compare import COMMAND
from resjax.cli.flags.settings import own_flags
from resjax.records.defaults import DEFAULTS
from tests.commands import parsed_flags


def test_the_defaults_are_those_of_the_flags():
    with parsed_flags(COMMAND):
        values = own_flags()
    assert {name: value for name, value in values.items() if value is not None} == DEFAULTS
