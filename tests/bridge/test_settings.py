"""The settings are checked at start; every problem is reported at once, with its remedy."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.ledger.policy import ChurnAt
from bridge.settings import SERVICE_SETTINGS, SOURCE_SETTINGS, Setting, known_names, load
from bridge.settings.model import POLICY_SETTINGS
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN

GOOD = {"STRIPE_WEBHOOK_SECRET": STRIPE_SECRET, "PULSORA_SECRET_TOKEN": TOKEN}
ROOT = Path(__file__).resolve().parents[2]


def a_config(folder: Path, text: str) -> str:
    path = folder / "bridge.toml"
    path.write_text(text)
    return str(path)


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


def test_every_problem_is_reported_at_once() -> None:
    found = problems(STRIPE_WEBHOOK_SECRET="sk_live_fake", UNATTRIBUTED="maybe", RATE_LIMIT_PER_HOUR="many")

    assert [problem.partition(":")[0] for problem in found] == [
        "RATE_LIMIT_PER_HOUR",
        "UNATTRIBUTED",
        "STRIPE_WEBHOOK_SECRET",
    ]
    assert "must be one of hold, send, drop" in found[1]
    assert "Signing secrets begin with whsec_" in found[2]


def test_without_a_source_the_possible_settings_are_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load({})

    assert "STRIPE_WEBHOOK_SECRET" in caught.value.problems[0]
    assert "PADDLE_WEBHOOK_SECRET" in caught.value.problems[0]


def test_a_secret_may_be_read_from_a_file(tmp_path: Path) -> None:
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


def test_a_source_of_an_unknown_processor_is_reported_with_its_table(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text('[sources.shop]\nprocessor = "cash"\n')

    found = problems(BRIDGE_CONFIG=str(tmp_path / "bridge.toml"))

    assert found[0].startswith("[sources.shop] processor: must be one of stripe, paddle")


def test_an_unknown_key_of_a_source_is_reported(tmp_path: Path) -> None:
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


def test_a_wrong_value_that_several_sources_share_is_reported_once(tmp_path: Path) -> None:
    config = a_config(tmp_path, f'[sources.shop]\nprocessor = "stripe"\nwebhook_secret = "{STRIPE_SECRET}"\n')

    found = problems(PADDLE_WEBHOOK_SECRET=PADDLE_SECRET, HOLD_HOURS="long", BRIDGE_CONFIG=config)

    assert found == ("HOLD_HOURS: must be a number from 0 to 720. Example: HOLD_HOURS=1",)


def test_a_wrong_value_in_a_sources_table_is_reported_with_the_table(tmp_path: Path) -> None:
    shop = f'[sources.shop]\nprocessor = "stripe"\nwebhook_secret = "{STRIPE_SECRET}"\nhold_hours = -1\n'

    found = problems(BRIDGE_CONFIG=a_config(tmp_path, shop))

    assert found == ("[sources.shop] hold_hours: must be a number from 0 to 720. Example: hold_hours = 1",)


def test_the_problems_of_a_table_are_said_in_the_words_of_the_file(tmp_path: Path) -> None:
    shop = '[sources.shop]\nprocessor = "stripe"\nmrr_discounts = "sometimes"\napi_key = "pk_live_1"\n'
    config = str(a_config(tmp_path, shop))

    with pytest.raises(SettingsError) as raised:
        load({"BRIDGE_CONFIG": config})
    inherited = problems(BRIDGE_CONFIG=config, HOLD_HOURS="-1")

    assert [one.partition(". ")[0] for one in raised.value.problems] == [
        "[sources.shop] mrr_discounts: must be one of forever, recurring, none",
        "[sources.shop] token: is missing",
        "[sources.shop] webhook_secret: is missing",
        "[sources.shop] api_key: is a publishable key (pk_…), which can read nothing",
    ]
    assert [one.rpartition("Example: ")[2] for one in raised.value.problems] == [
        'mrr_discounts = "forever"', 'token = "sec_…"', 'webhook_secret = "whsec_…"', 'api_key = "rk_live_…"'
    ]  # fmt: skip
    assert "HOLD_HOURS: must be a number from 0 to 720. Example: HOLD_HOURS=1" in inherited


def test_a_sources_secrets_may_be_a_list_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sec_fake_from_a_file\n")
    shop = f"""
        [sources.shop]
        processor = "stripe"
        webhook_secret = ["{STRIPE_SECRET}", "whsec_fake_old"]
        token_file = "{tmp_path / "token"}"
        dry_run = true
        """

    settings = load({**GOOD, "BRIDGE_CONFIG": a_config(tmp_path, shop)})

    assert settings.sources["shop"].secrets == (STRIPE_SECRET, "whsec_fake_old")
    assert (settings.sources["shop"].token, settings.sources["shop"].dry_run) == ("sec_fake_from_a_file", True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[source.shop]\nprocessor = 'stripe'\n", "BRIDGE_CONFIG: source has no meaning here"),
        ("sources = 3\n", "BRIDGE_CONFIG: sources. must be a table"),
        ("[sources.'a|b']\nprocessor = 'stripe'\n", "[sources.a|b]: a name may contain a-z, 0-9, - and _"),
        ("[sources.stripe]\nprocessor = 'stripe'\n", "STRIPE_WEBHOOK_SECRET already makes a source of this name"),
        ("[sources.shop]\nprocessor = 'stripe'\n", "[sources.shop] webhook_secret: is missing"),
        ("[sources.shop\n", "BRIDGE_CONFIG: cannot be read"),
        ("[sources.shop]\nprocessor = 'stripe'\nwebhook_secret = {a = 1}\n", "must be a text, a number, or true or"),
    ],
)
def test_no_part_of_the_toml_file_is_ignored_silently(tmp_path: Path, text: str, problem: str) -> None:
    found = problems(BRIDGE_CONFIG=a_config(tmp_path, text))

    assert problem in found[0]


def test_a_common_mistake_in_a_name_is_recognised() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"STRIPE_WEBHOOK_SECRET": STRIPE_SECRET, "PULSORA_TOKEN": TOKEN})

    assert caught.value.problems == (
        "PULSORA_SECRET_TOKEN: is missing. Example: PULSORA_SECRET_TOKEN=sec_…",
        "PULSORA_TOKEN is set, but is not a setting. Did you mean PULSORA_SECRET_TOKEN?",
    )


def test_a_misspelled_name_is_a_warning() -> None:
    settings = load({**GOOD, "SETTLE_SECOND": "5", "STRIPE_SECRET_KEY": "sk_fake", "LOG_LEVELS_OF_SOMETHING": "x"})

    assert settings.warnings == ("SETTLE_SECOND is set, but is not a setting. Did you mean SETTLE_SECONDS?",)


def test_an_env_file_is_not_interpolated(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ADMIN_TOKEN='fake-${HOME}-token'\n")

    assert load(GOOD, dotenv=tmp_path / ".env").admin_token == "fake-${HOME}-token"


def test_an_env_file_that_is_no_text_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"ADMIN_TOKEN=\xff\xfe\n")

    with pytest.raises(SettingsError, match="cannot be read"):
        load(GOOD, dotenv=tmp_path / ".env")


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:8000", "0.0.0.0:80", ":8000", "[::1]:8000", "bridge:8000", "unix:/run/b.sock"]
)
def test_an_address_to_listen_on_is_accepted(bind: str) -> None:
    assert load({**GOOD, "BIND": bind}).bind == bind


@pytest.mark.parametrize("bind", ["8000", "127.0.0.1", "127.0.0.1:80000", "http://127.0.0.1:80", "host:port", "::1:80"])
def test_an_invalid_address_to_listen_on_is_refused(bind: str) -> None:
    assert problems(BIND=bind) == ("BIND: must be host:port, or unix:/path of a socket. Example: BIND=127.0.0.1:8000",)


def test_a_database_in_memory_is_refused_because_two_processes_share_it() -> None:
    assert "must name a file" in problems(DATABASE_URL="sqlite:///:memory:")[0]


# ---- Rules of one processor ------------------------------------------------------------------------------------

BOTH = {**GOOD, "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET}
SHOP = f'[sources.shop]\nprocessor = "stripe"\nwebhook_secret = "{STRIPE_SECRET}"\n'
ACADEMY = f'[sources.academy]\nprocessor = "paddle"\nwebhook_secret = "{PADDLE_SECRET}"\n'


def test_a_rule_with_a_processors_prefix_wins_over_the_plain_name() -> None:
    sources = load({**BOTH, "CHURN_AT": "request", "STRIPE_CHURN_AT": "end"}).sources

    assert (sources["stripe"].policy.churn_at, sources["paddle"].policy.churn_at) == (ChurnAt.END, ChurnAt.REQUEST)


@pytest.mark.parametrize("name", [*POLICY_SETTINGS])
def test_every_rule_may_have_a_processors_prefix(name: str) -> None:
    one = POLICY_SETTINGS[name]
    choices = list(type(one.default)) if isinstance(one.default, StrEnum) else ["own"]
    value = choices[-1]

    sources = load({**BOTH, f"PADDLE_{one.name}": value}).sources

    assert getattr(sources["paddle"].policy, name) == value
    assert getattr(sources["stripe"].policy, name) == one.default


def test_the_prefix_of_paddle_classic_is_not_the_one_of_paddle() -> None:
    sources = load({**BOTH, "PADDLE_CLASSIC_CHURN_AT": "request"}).sources

    assert sources["paddle"].policy.churn_at is ChurnAt.END


def test_a_named_source_inherits_the_rule_of_its_processor(tmp_path: Path) -> None:
    config = a_config(tmp_path, SHOP)

    settings = load({**GOOD, "BRIDGE_CONFIG": config, "STRIPE_CHURN_AT": "request", "CHURN_AT": "end"})

    assert settings.sources["shop"].policy.churn_at is ChurnAt.REQUEST


def test_a_named_source_inherits_the_address_of_its_processors_api_and_no_key(tmp_path: Path) -> None:
    config = a_config(tmp_path, f'{SHOP}\n{ACADEMY}paddle_api_base = "https://own.example.com"\n')
    proxies = {"STRIPE_API_BASE": "https://stripe.example.com", "PADDLE_API_BASE": "https://paddle.example.com"}

    sources = load(
        {**BOTH, **proxies, "STRIPE_API_KEY": "rk_live_x", "PADDLE_ENVIRONMENT": "sandbox", "BRIDGE_CONFIG": config}
    ).sources

    assert (sources["shop"].options, sources["shop"].api_key) == (
        {"STRIPE_API_BASE": "https://stripe.example.com"},
        None,
    )
    assert sources["academy"].options == {"PADDLE_API_BASE": "https://own.example.com"}


def test_an_inherited_address_that_is_wrong_is_reported_once_under_its_plain_name(tmp_path: Path) -> None:
    config = a_config(tmp_path, SHOP)

    assert problems(STRIPE_API_BASE="http://proxy.example.com", BRIDGE_CONFIG=config) == (
        "STRIPE_API_BASE: would send the API key unencrypted: use https. Example: STRIPE_API_BASE=https://api.stripe.com",
    )


def test_the_table_of_a_named_source_wins_over_both_names(tmp_path: Path) -> None:
    config = a_config(tmp_path, SHOP + 'churn_at = "end"\n')

    settings = load({**GOOD, "BRIDGE_CONFIG": config, "STRIPE_CHURN_AT": "request", "CHURN_AT": "request"})

    assert settings.sources["shop"].policy.churn_at is ChurnAt.END
    assert settings.sources["stripe"].policy.churn_at is ChurnAt.REQUEST


def test_a_wrong_rule_of_a_processor_is_reported_under_its_full_name() -> None:
    assert problems(STRIPE_CHURN_AT="soon") == (
        "STRIPE_CHURN_AT: must be one of end, request. Example: STRIPE_CHURN_AT=end",
    )


def test_a_rule_of_a_processor_can_be_read_from_a_file_and_its_misspelling_is_named(tmp_path: Path) -> None:
    (tmp_path / "rule").write_text("request\n")

    settings = load({**GOOD, "STRIPE_CHURN_AT_FILE": str(tmp_path / "rule"), "STRIPE_MRR_DISCOUNT": "none"})

    assert settings.sources["stripe"].policy.churn_at is ChurnAt.REQUEST
    assert settings.warnings == (
        "STRIPE_MRR_DISCOUNT is set, but is not a setting. Did you mean STRIPE_MRR_DISCOUNTS?",
    )


# ---- Documentation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", known_names())
def test_every_setting_is_documented_and_in_the_sample(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert f"# {name}=" in (ROOT / "config" / "env.example").read_text(encoding="utf-8")


def test_the_sample_has_no_other_settings() -> None:
    sample = (ROOT / "config" / "env.example").read_text(encoding="utf-8")

    assert set(re.findall(r"^# ([A-Z_]+)=", sample, re.MULTILINE)) == set(known_names())


@pytest.mark.parametrize("setting", [*SOURCE_SETTINGS, *SERVICE_SETTINGS], ids=lambda one: one.name)
def test_the_sample_shows_each_setting_as_it_is_declared(setting: Setting) -> None:
    sample = (ROOT / "config" / "env.example").read_text(encoding="utf-8")

    [(description, value)] = re.findall(rf"^# (.+)\.\n# {setting.name}=(.*)$", sample, re.MULTILINE)

    assert description.lower() == setting.help.lower()
    if setting.default in (None, "", ()):
        assert value == setting.example
    else:
        assert setting.check(value) == setting.default


def test_the_sample_of_a_toml_file_is_valid() -> None:
    settings = load({"BRIDGE_CONFIG": str(ROOT / "config" / "bridge.example.toml")})

    assert sorted(settings.sources) == ["academy", "shop"]
