#!/bin/sh
# Renders alertmanager.yml.template from the environment and starts Alertmanager, which does not read the environment.
#   SLACK_WEBHOOK_URL                                                  Slack, when set
#   SMTP_HOST, SMTP_PORT, SMTP_USER, SMTP_PASSWORD, NOTIFY_EMAIL_FROM  e-mail, when SMTP_HOST and NOTIFY_EMAIL_TO are set
#   SMTP_REQUIRE_TLS (true), RUNBOOK_BASE_URL (prefix of the runbook's path), PAGE_WAIT (10s)
# Secrets go to files in CONFIG_FOLDER (a tmpfs in Compose) that only this user can read; the configuration has none.
# Works with busybox. "start.sh --render" renders and exits.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
folder=${CONFIG_FOLDER:-/tmp/alertmanager}
mkdir -p "$folder"

# Print a YAML string in single quotes, escaped for the replacement of sed's s|||.
quoted() {
  case $1 in *"
"*) echo "start.sh: a value has more than one line" >&2; exit 1 ;; esac
  printf "'%s'" "$(printf %s "$1" | sed -e "s/'/''/g" -e 's/[\\&|]/\\&/g')"
}
plain() { printf %s "$1" | sed -e 's/[\\&|]/\\&/g'; }

drop=
if [ -n "${SLACK_WEBHOOK_URL:-}" ]; then
  printf %s "$SLACK_WEBHOOK_URL" >"$folder/slack_webhook_url"
else
  drop="$drop -e /#slack\$/d"
fi
if [ -n "${SMTP_HOST:-}" ] && [ -n "${NOTIFY_EMAIL_TO:-}" ]; then :; else drop="$drop -e /#email\$/d -e /#login\$/d"; fi
if [ -n "${SMTP_USER:-}" ]; then printf %s "${SMTP_PASSWORD:-}" >"$folder/smtp_password"; else drop="$drop -e /#login\$/d"; fi

# shellcheck disable=SC2086 # a list of expressions without spaces
sed $drop \
  -e "s|@SMTP_SMARTHOST@|$(quoted "${SMTP_HOST:-}:${SMTP_PORT:-587}")|" \
  -e "s|@NOTIFY_EMAIL_FROM@|$(quoted "${NOTIFY_EMAIL_FROM:-homeprices@localhost}")|" \
  -e "s|@NOTIFY_EMAIL_TO@|$(quoted "${NOTIFY_EMAIL_TO:-}")|" \
  -e "s|@SMTP_USER@|$(quoted "${SMTP_USER:-}")|" \
  -e "s|@SMTP_REQUIRE_TLS@|$(plain "${SMTP_REQUIRE_TLS:-true}")|" \
  -e "s|@PAGE_WAIT@|$(plain "${PAGE_WAIT:-10s}")|" \
  -e "s|@FOLDER@|$(plain "$folder")|" \
  -e 's/ #\(slack\|email\|login\)$//' \
  "$here/alertmanager.yml.template" >"$folder/alertmanager.yml"
sed -e "s|@RUNBOOK_BASE_URL@|$(plain "${RUNBOOK_BASE_URL:-}")|" "$here/notice.tmpl" >"$folder/notice.tmpl"

[ "${1:-}" = --render ] && exit 0
unset SLACK_WEBHOOK_URL SMTP_PASSWORD
program=$(command -v alertmanager || command -v prometheus-alertmanager)
exec "$program" --config.file="$folder/alertmanager.yml" --cluster.listen-address= "$@"
