#!/bin/sh
# Serves every export in a folder under the name of its directory:
#   MODELS/chorales/1, MODELS/chorales/2, MODELS/pop/1  ->  models "chorales" and "pop"
# New versions are found by the server, new models by the loop below.
#   serve.sh [FLAGS OF tensorflow_model_server]
set -eu

MODELS=${MODELS:-/models}
SETTINGS=${SETTINGS:-/etc/tfmusic}
SERVER=${SERVER:-tensorflow_model_server}
LIST=${LIST:-/tmp/models.config}
POLL_SECONDS=${POLL_SECONDS:-30}

# A ModelServerConfig in text form; an export is complete once its card is there.
list_models() {
    echo "model_config_list {"
    for model in "$MODELS"/*/; do
        for card in "$model"[0-9]*/assets.extra/tfmusic.json; do
            [ -e "$card" ] || continue
            name=$(basename "$model")
            echo "  config {"
            echo "    name: \"$name\""
            echo "    base_path: \"$MODELS/$name\""
            echo "    model_platform: \"tensorflow\""
            echo "  }"
            break
        done
    done
    echo "}"
}

# Written beside and renamed: the server may read at any moment.
write_list() {
    list_models > "$LIST.partial"
    mv "$LIST.partial" "$LIST"
}

write_list
if [ "${1:-}" = "--list" ]; then
    cat "$LIST"
    exit
fi
until grep -q "config {" "$LIST"; do
    echo "waiting for the first export in $MODELS" >&2
    sleep "$POLL_SECONDS"
    write_list
done
# As long as the server runs, whose process this one becomes.
while sleep "$POLL_SECONDS" && kill -0 $$ 2>/dev/null; do
    write_list
done > /dev/null 2>&1 &

# Batching joins the requests of serving_default, pieces and score; the scalars of
# generate and continue hold for a whole request, so a server that batches refuses those
# two, also where they warm a model up, which would keep it from being loaded.
if [ "${BATCHING:-0}" = 1 ]; then
    set -- --enable_batching=true --enable_model_warmup=false \
        --batching_parameters_file="$SETTINGS/batching.config" "$@"
else
    set -- --enable_model_warmup=true "$@"
fi
# A long piece takes longer than the 30 seconds that REST calls usually get.
exec "$SERVER" \
    --port=8500 \
    --rest_api_port=8501 \
    --rest_api_timeout_in_ms=600000 \
    --model_config_file="$LIST" \
    --model_config_file_poll_wait_seconds="$POLL_SECONDS" \
    --monitoring_config_file="$SETTINGS/monitoring.config" \
    "$@"
