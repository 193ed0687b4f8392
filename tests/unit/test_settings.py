"""The environment is read strictly, in one place, and secrets never show."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from homeprices.errors import SettingsError
from homeprices.settings import Settings, load_settings, variable_names


def settings(**environ: str) -> Settings:
    return load_settings(environ, ())


def test_an_empty_environment_gives_the_local_defaults() -> None:
    given = settings()
    assert (given.bucket, given.postgres_host, given.postgres_port) == ("homeprices", "127.0.0.1", 5432)
    assert given.variant == "production"
    assert given.replica_urls("candidate") == ["http://127.0.0.1:6002"]


def test_a_misspelt_setting_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"HOMEPRICES_POL_SECONDS.*known are.*HOMEPRICES_POLL_SECONDS"):
        settings(HOMEPRICES_POL_SECONDS="3")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_PORT", "many"),
        ("POSTGRES_PORT", "70000"),
        ("MODEL_PREFIX", "worst_model"),
        ("TRUSTED_NETWORKS", "127.0.0.1/8,home"),
        ("HOMEPRICES_CANDIDATE_SHARE", "51"),
        ("FIRST_MODEL", "fancy"),
    ],
)
def test_a_wrong_value_is_refused_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings(**{name: value})


def test_testers_are_words_and_the_policy_is_sequential_unless_told_otherwise() -> None:
    assert (settings().policy, settings().tester_ids) == ("sequential", [])
    given = settings(HOMEPRICES_POLICY="composite", HOMEPRICES_TESTERS="ann, bob")
    assert (given.policy, given.tester_ids) == ("composite", ["ann", "bob"])


def test_secrets_are_masked_and_never_named_in_errors() -> None:
    given = settings(POSTGRES_PASSWORD="hunter2", AWS_SECRET_ACCESS_KEY="s3cret")
    assert "hunter2" not in repr(given) and "s3cret" not in repr(given)
    with pytest.raises(SettingsError) as refused:
        settings(POSTGRES_PASSWORD="hunter2", POSTGRES_PORT="x")
    assert "hunter2" not in str(refused.value)


def test_the_database_url_quotes_what_a_password_may_contain() -> None:
    assert settings(POSTGRES_PASSWORD="a/b@c:d").database_url.startswith(
        "postgresql+psycopg2://homeprices:a%2Fb%40c%3Ad@127.0.0.1:5432/homeprices"
    )


def test_the_environment_wins_over_env_files_and_the_first_file_over_the_second(tmp_path: Path) -> None:
    first, second = tmp_path / ".env", tmp_path / "env"
    first.write_text("POSTGRES_DB=from_first\nPOSTGRES_USER=from_first\n")
    second.write_text("POSTGRES_DB=from_second\nPOSTGRES_HOST=db.example\nPOSTGRES_USER=x\n")
    given = load_settings({"POSTGRES_USER": "from_environment"}, (first, second))
    assert (given.postgres_user, given.postgres_db, given.postgres_host) == (
        "from_environment",
        "from_first",
        "db.example",
    )


def test_the_state_of_a_running_local_stack_is_found_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "env").write_text("POSTGRES_PORT=25432\n")
    assert load_settings({"STACK_DIR": "elsewhere"}).postgres_port == 25432


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().bucket = "other"  # type: ignore[misc]


def test_blank_optional_values_count_as_unset() -> None:
    assert settings(SLACK_WEBHOOK_URL="", SMTP_HOST="", AWS_ENDPOINT_URL_S3="").slack_webhook_url is None


def test_lists_lose_their_spaces_and_urls_their_trailing_slash() -> None:
    given = settings(HOMEPRICES_PRODUCTION_URLS=" http://a:1/ , http://b:2", TRUSTED_NETWORKS="10.0.0.0/8, ::1/128")
    assert given.replica_urls("production") == ["http://a:1", "http://b:2"]
    assert given.networks == ["10.0.0.0/8", "::1/128"]


def test_every_field_has_a_variable_of_its_own() -> None:
    assert len(variable_names()) >= len(Settings.model_fields)
