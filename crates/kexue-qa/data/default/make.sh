#!/usr/bin/env bash
# Remakes the embedded graph and model from triples.tsv and templates.tsv, and scores them on questions worded in no template.
# Usage: make.sh [KEXUE]   (the kexue binary; `cargo run --release -q -p kexue-cli --` by default)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kexue=${1:-cargo run --release -q --manifest-path $here/../../../../Cargo.toml -p kexue-cli --}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

$kexue vocab "$here/triples.tsv" "$here/templates.tsv" --fold-case -o "$work/vocab.txt"
$kexue kg build "$here/triples.tsv" --vocab "$work/vocab.txt" -o "$here/graph.index"
$kexue qa expand --kg "$here/graph.index" --templates "$here/templates.tsv" --each 20 -o "$work/questions.tsv"
model=(--d-model 128 --layers 3 --heads 4 --steps 3000 --batch-size 64 --initial-std 0.05 --dropout 0.2 --validate-every 1000)
$kexue qa train --kg "$here/graph.index" --questions "$work/questions.tsv" --hold-out 50 --out "$work/run" "${model[@]}"
# Rescoring is to help with wordings that no template has, so it is learned on templates that the model behind it was not trained on.
awk 'NR % 5 != 0' "$here/templates.tsv" > "$work/kept.tsv"
awk 'NR % 5 == 0' "$here/templates.tsv" > "$work/held_out.tsv"
$kexue qa expand --kg "$here/graph.index" --templates "$work/kept.tsv" --each 20 -o "$work/kept_questions.tsv"
$kexue qa expand --kg "$here/graph.index" --templates "$work/held_out.tsv" --each 10 -o "$work/held_out_questions.tsv"
$kexue qa train --kg "$here/graph.index" --questions "$work/kept_questions.tsv" --valid "$work/held_out_questions.tsv" --validate-on 300 \
    --out "$work/for_rescoring" "${model[@]}"
mkdir -p "$here/model"
for name in vocab.txt model.safetensors; do cp "$work/run/$name" "$here/model/$name"; done
cp "$work/for_rescoring/reranker.toml" "$here/model/"
sed "s|$work/||; s|$here/||" "$work/run/config.toml" > "$here/model/config.toml"
$kexue qa eval --kg "$here/graph.index" --model "$here/model" --questions "$here/test_questions.tsv"
