#!/bin/sh
# Packs every log and every recorded chain of days gone by: decisions-2026-01-05.jsonl becomes .jsonl.gz, which all
# readers take, under the same name. Today's and yesterday's files stay as they are: the agent may still write to them.
# A file is packed beside itself and only then replaced, so that no reader ever sees half of one.
#   sh dashboard/deploy/pack_logs.sh logs data/chains
set -eu
today=$(date -u +%Y-%m-%d)
yesterday=$(date -u -d yesterday +%Y-%m-%d 2>/dev/null || date -u -v-1d +%Y-%m-%d)
for folder in "$@"; do
  [ -d "$folder" ] || continue
  find "$folder" -type f -name '*[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*.jsonl' | while IFS= read -r file; do
    case "$file" in *"$today"* | *"$yesterday"*) continue ;; esac
    [ -e "$file.gz" ] && continue
    gzip -c "$file" > "$file.gz.tmp"
    gzip -t < "$file.gz.tmp"
    touch -r "$file" "$file.gz.tmp"
    mv "$file.gz.tmp" "$file.gz"
    rm "$file"
  done
done
