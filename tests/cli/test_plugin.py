"""`kubectl perfslo` speaks as kubectl does; without kubectl the same commands are `perfslo`."""

import pytest

from perfslo.__main__ import main


@pytest.fixture(params=[("/usr/local/bin/perfslo", "perfslo"), ("/opt/tools/kubectl-perfslo", "kubectl perfslo")])
def typed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What was typed, with the program that it runs in sys.argv."""
    program, words = request.param
    monkeypatch.setattr("sys.argv", [program])
    return str(words)


def test_help_is_in_the_words_that_were_typed(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: {typed} COMMAND")


@pytest.mark.parametrize("command", ["explain", "pause", "resume", "release"])
def test_commands_take_what_plugins_are_expected_to(
    typed: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.startswith(f"usage: {typed} {command} ")
    for flag in ("-n", "--namespace NAMESPACE", "--context NAME", "--kubeconfig FILE"):
        assert flag in told


def test_a_command_that_there_is_not(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explian"]) == 2
    assert capsys.readouterr().err.startswith(f"{typed}: there is no command 'explian'")
