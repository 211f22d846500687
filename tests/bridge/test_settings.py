"""The settings are checked at start, all at once, and say how to mend what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.ledger.events import ChurnAt
from bridge.settings import OF_SERVICE, OF_SOURCES, load
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN

GOOD = {"STRIPE_WEBHOOK_SECRET": STRIPE_SECRET, "PULSORA_SECRET_TOKEN": TOKEN}
ROOT = Path(__file__).resolve().parents[2]


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load({**GOOD, **environ})
    return caught.value.problems


def test_a_secret_and_a_token_are_enough() -> None:
    settings = load(GOOD)

    assert list(settings.sources) == ["stripe"]
    assert settings.sources["stripe"].secrets == (STRIPE_SECRET,)
    assert settings.sources["stripe"].settle_seconds == 90
    assert settings.rate_limit_per_hour == 2000


def test_a_public_token_is_refused_with_the_reason() -> None:
    assert problems(PULSORA_SECRET_TOKEN="pub_fake") == (
        "PULSORA_SECRET_TOKEN: is a public token (pub_…): Pulsora refuses revenue events sent with one. "
        "Use the secret token. Example: PULSORA_SECRET_TOKEN=sec_…",
    )


def test_every_problem_is_told_at_once() -> None:
    found = problems(STRIPE_WEBHOOK_SECRET="sk_live_fake", UNATTRIBUTED="maybe", RATE_LIMIT_PER_HOUR="many")

    assert [problem.partition(":")[0] for problem in found] == [
        "RATE_LIMIT_PER_HOUR",
        "UNATTRIBUTED",
        "STRIPE_WEBHOOK_SECRET",
    ]
    assert "must be one of hold, send, drop" in found[1]
    assert "Signing secrets begin with whsec_" in found[2]


def test_nothing_configured_names_what_could_be() -> None:
    with pytest.raises(SettingsError) as caught:
        load({})

    assert "STRIPE_WEBHOOK_SECRET" in caught.value.problems[0]
    assert "PADDLE_WEBHOOK_SECRET" in caught.value.problems[0]


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{STRIPE_SECRET}\n")

    settings = load({"STRIPE_WEBHOOK_SECRET_FILE": str(tmp_path / "secret"), "PULSORA_SECRET_TOKEN": TOKEN})

    assert settings.sources["stripe"].secrets == (STRIPE_SECRET,)


def test_a_file_and_a_value_for_one_setting_contradict_each_other(tmp_path: Path) -> None:
    found = problems(PULSORA_SECRET_TOKEN_FILE=str(tmp_path / "token"))

    assert found == ("PULSORA_SECRET_TOKEN_FILE: PULSORA_SECRET_TOKEN is set as well. Set only one of the two",)


def test_an_unreadable_file_is_a_problem_and_not_a_crash() -> None:
    found = problems(ADMIN_TOKEN_FILE="/nowhere/at/all")

    assert "ADMIN_TOKEN_FILE: cannot be read (FileNotFoundError)" in found[0]


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PULSORA_SECRET_TOKEN={TOKEN}\nCHURN_AT=request\nSETTLE_SECONDS=5\n")

    settings = load({"STRIPE_WEBHOOK_SECRET": STRIPE_SECRET, "SETTLE_SECONDS": "7"}, dotenv=tmp_path / ".env")

    assert settings.sources["stripe"].policy.churn_at is ChurnAt.REQUEST
    assert settings.sources["stripe"].settle_seconds == 7


def test_several_secrets_are_all_accepted() -> None:
    settings = load({**GOOD, "STRIPE_WEBHOOK_SECRET": f"{STRIPE_SECRET}, whsec_fake_old"})

    assert settings.sources["stripe"].secrets == (STRIPE_SECRET, "whsec_fake_old")


def test_a_toml_file_names_more_sources_with_their_own_settings(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(
        f"""
        [sources.academy]
        processor = "paddle"
        webhook_secret = "{PADDLE_SECRET}"
        token = "sec_fake_academy"
        churn_at = "request"
        """
    )

    settings = load({**GOOD, "BRIDGE_CONFIG": str(tmp_path / "bridge.toml"), "HOLD_HOURS": "3"})

    academy = settings.sources["academy"]
    assert sorted(settings.sources) == ["academy", "stripe"]
    assert (academy.processor, academy.token, academy.hold_hours) == ("paddle", "sec_fake_academy", 3)
    assert academy.policy.churn_at is ChurnAt.REQUEST
    assert academy.policy.source == "academy"
    assert settings.sources["stripe"].policy.churn_at is ChurnAt.END


def test_a_source_of_an_unknown_processor_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text('[sources.shop]\nprocessor = "cash"\n')

    found = problems(BRIDGE_CONFIG=str(tmp_path / "bridge.toml"))

    assert found[0].startswith("[sources.shop] processor: must be one of stripe, paddle")


def test_an_unknown_key_of_a_source_is_told_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(
        f'[sources.shop]\nprocessor = "stripe"\nwebhook_secret = "{STRIPE_SECRET}"\nhold_hour = 3\n'
    )

    found = problems(BRIDGE_CONFIG=str(tmp_path / "bridge.toml"))

    assert found == ("[sources.shop] hold_hour: there is no such setting. Did you mean hold_hours?",)


def test_the_token_is_never_sent_unencrypted() -> None:
    found = problems(PULSORA_ENDPOINT="http://ingest.example.com/api")

    assert "would send the secret token unencrypted" in found[0]


def test_no_secret_is_in_what_settings_print() -> None:
    settings = load({**GOOD, "ADMIN_TOKEN": "fake-admin", "STRIPE_API_KEY": "rk_fake_key"})

    printed = repr(settings)

    assert not [secret for secret in (STRIPE_SECRET, TOKEN, "fake-admin", "rk_fake_key") if secret in printed]


def test_an_api_key_must_not_be_a_webhook_secret() -> None:
    found = problems(STRIPE_API_KEY=STRIPE_SECRET)

    assert found == (
        "STRIPE_API_KEY: looks like a webhook secret. Use a restricted API key that may only read. "
        "Example: STRIPE_API_KEY=rk_live_…",
    )


@pytest.mark.parametrize("name", [one.name for one in (*OF_SOURCES, *OF_SERVICE)])
def test_every_setting_stands_in_the_readme_and_in_the_sample(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"# {name}=" in (ROOT / "config" / "env.example").read_text(encoding="utf-8")
