"""Networks that a command or a record names: imported, refused, and how far two are the same."""

import sys

import pytest

from resjax.cli.compare import COMMAND as COMPARE
from resjax.cli.sweep import COMMAND as SWEEP
from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.architecture import Architecture, architecture
from resjax.models.own_network import OwnNetwork
from resjax.records import Probes, Summary, read_record
from resjax.run.setup.networks import likeness, named_network, own_source, recorded_network
from tests.commands import require_bad_input, run_in_process
from tests.own_networks import averaged, wider

SIZES = {"width": None, "stem": None}


@pytest.mark.parametrize(
    "network",
    [
        named_network("tests.own_networks:averaged"),
        architecture("resnet20"),
        architecture("resnet20", width=4),
        Architecture("mine", (1, 2), "pad", stem="cifar", width=4),
    ],
    ids=["own", "named", "narrower", "described"],
)
def test_a_network_is_found_again_by_its_record(network):
    assert recorded_network(network.name, own_source(network, SIZES), {}) == network


def test_what_a_name_and_the_sizes_say_needs_no_record():
    assert not own_source(architecture("resnet20", width=4), SIZES | {"width": 4})
    assert own_source(architecture("resnet20", width=4), SIZES).fields["width"] == 4


def test_a_network_with_another_source_is_not_found_again():
    record = own_source(OwnNetwork("averaged", wider), SIZES)
    with pytest.raises(BadInput, match="averaged"):
        recorded_network("averaged", type(record)(origin="tests.own_networks:averaged", sha256=record.sha256), {})
    with pytest.raises(BadInput, match="averaged"):
        recorded_network("averaged", own_source(OwnNetwork("averaged", lambda key: averaged(key, 3)), SIZES), {})


def test_two_networks_are_the_same_as_far_as_paths_shapes_and_numbers_agree():
    first, same, other = (
        Functional(OwnNetwork(name, make), 3) for name, make in (("a", averaged), ("b", averaged), ("c", wider))
    )
    arrays = 8
    assert f"{arrays} of {arrays} arrays" in likeness(first, same, 0)
    assert f"and {arrays} of them start" in likeness(first, same, 0) and "+0 parameters" in likeness(first, same, 0)
    # Of the wider network only the bias of the head has the same shape.
    assert f"1 of {arrays} arrays" in likeness(first, other, 0) and "+66 parameters" in likeness(first, other, 0)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tests.own_networks:missing", "tests.own_networks:missing"),
        ("tests.missing:averaged", "tests.missing:averaged"),
        ("tests.own_networks:NOT_CALLABLE", "NOT_CALLABLE"),
        ("tests.own_networks:no_module", "no_module"),
        ("tests.own_networks:", "tests.own_networks:"),
        ("tests.own_networks:averaged,tests.own_networks:averaged", "--architectures"),
    ],
)
def test_what_cannot_be_imported_or_is_no_network_is_bad_input(tmp_path, name, says):
    flags = ["--dataset=synthetic:60", "--image_size=16", f"--cache_dir={tmp_path / 'cache'}", "--nonear_copies"]
    require_bad_input(COMPARE, *flags, f"--architectures={name}", f"--workdir={tmp_path / 'run'}", says=(says,))


def test_a_sweep_of_own_networks_is_bad_input(tmp_path):
    flags = [
        "--dataset=synthetic:60",
        "--image_size=16",
        "--grid=learning_rate=0.1,0.2",
        f"--workdir={tmp_path / 'run'}",
    ]
    require_bad_input(SWEEP, *flags, "--architectures=tests.own_networks:averaged", says=("--architectures",))


def test_probes_of_own_networks_alone_are_bad_input(tmp_path):
    flags = ["--dataset=synthetic:60", "--image_size=16", "--probes=signals", f"--workdir={tmp_path / 'run'}"]
    require_bad_input(COMPARE, *flags, "--architectures=tests.own_networks:averaged", says=("--probes",))


@pytest.mark.slow
def test_a_module_of_the_current_folder_is_compared_from_the_command_line_and_probes_leave_it_out(
    tmp_path, monkeypatch
):
    (tmp_path / "my_module.py").write_text("from tests.own_networks import averaged\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    flags = [
        "--dataset=synthetic:60",
        "--image_size=16",
        "--epochs=1",
        "--seeds=1",
        "--augment=none",
        "--nonear_copies",
    ]
    given = ["--architectures=my_module:averaged,resnet8", "--width=2", "--probes=signals", "--probe_images=8"]
    status, out, err = run_in_process(COMPARE, *flags, *given, f"--cache_dir={tmp_path / 'cache'}", "--workdir=run")
    assert status == 0 and "resnet8 beside averaged" in out, err
    own, named = read_record(tmp_path / "run/summary.json", Summary).architectures.values()
    assert own.own.origin == "tests.own_networks:averaged" and not named.own
    probes = read_record(tmp_path / "run/probes.json", Probes)
    assert list(probes.networks) == ["resnet8"]
    assert [each.network for each in probes.probes["signals"].left_out] == ["averaged"]
