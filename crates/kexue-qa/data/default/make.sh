#!/usr/bin/env bash
# Remakes the embedded graph and the rescoring of its model from the tables and templates beside this script, byte for byte, and scores them on
# wordings that neither has seen, and on unanswerable questions that were written without a look at those of the fit. The weights of the model, numbers of
# 16 bits, and its vocabulary are kept; with TRAIN=1 they are remade too, with 32 bits.
# Usage: make.sh [KEXUE]   (the kexue binary; `cargo run --release -q -p kexue-cli --` by default)
# WORK is the folder for what is in between, a temporary one by default; a training that was interrupted goes on in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kexue=${1:-cargo run --release -q --manifest-path $here/../../../../Cargo.toml -p kexue-cli --}
if [ -z "${WORK:-}" ]; then
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi
work=$WORK
mkdir -p "$work"

# One grammar in five is kept apart: how far the model and the words can be trusted is learned on those.
grep '^<' "$here/patterns.tsv" > "$work/rules.tsv"
grep -v '^[<#]' "$here/patterns.tsv" > "$work/patterns.tsv"
awk 'NR % 5 != 2' "$work/patterns.tsv" | cat "$work/rules.tsv" - > "$work/kept.tsv"
awk 'NR % 5 == 2' "$work/patterns.tsv" | cat "$work/rules.tsv" - > "$work/held_out.tsv"

if [ -n "${TRAIN:-}" ]; then
    $kexue vocab "$here/triples.tsv" "$here/templates.tsv" --fold-case -o "$work/vocab.txt"
else
    cp "$here/model/vocab.txt" "$work/vocab.txt"
fi
$kexue kg build "$here/triples.tsv" --vocab "$work/vocab.txt" -o "$work/graph.index"

# No question that is learned from has a wording that is tested.
expand() { $kexue qa expand --kg "$work/graph.index" --except "$here/test_templates.tsv" "$here/unanswerable_test.tsv" "$@"; }
expand --templates "$here/templates.tsv" --each 20 --typos 0.04 -o "$work/flat.tsv"
expand --templates "$work/kept.tsv" --each 80 --typos 0.04 -o "$work/grammars.tsv"
if [ -n "${TRAIN:-}" ]; then
    $kexue qa train --kg "$work/graph.index" --questions "$work/flat.tsv" "$work/grammars.tsv" --hold-out 50 --out "$work/run" \
        --d-model 128 --layers 3 --heads 4 --steps "${STEPS:-3000}" --batch-size 64 --initial-std 0.05 --dropout 0.2 --validate-every 1000
else
    mkdir -p "$work/run"
    for name in vocab.txt model.safetensors config.toml; do cp "$here/model/$name" "$work/run/$name"; done
fi

expand --templates "$work/held_out.tsv" --each 30 --typos 0.04 --seed 2 -o "$work/fit_wordings.tsv"
# How unanswerable questions are phrased is counted on most kinds of them. What that is worth is learned on others, which have not been counted, and
# on a part of the counted ones, since most questions that people ask are of kinds that are known.
expand --templates "$work/rules.tsv" "$here/unanswerable_train.tsv" --unanswerable --each 30 --typos 0.04 -o "$work/known_unanswerable.txt"
awk '!/^#/ && NR % 2 == 1' "$here/unanswerable_train.tsv" > "$work/known.tsv"
expand --templates "$work/rules.tsv" "$here/unanswerable_fit.tsv" "$work/known.tsv" --unanswerable --each 12 --typos 0.04 --seed 2 -o "$work/fit_unanswerable.txt"
expand --templates "$work/held_out.tsv" --unanswerable --each 12 --seed 2 -o "$work/fit_other_subjects.txt"
$kexue qa fit --kg "$work/graph.index" --model "$work/run" --questions "$work/fit_wordings.tsv" --hold-out 0 \
    --known "$work/flat.tsv" "$work/grammars.tsv" --known-unanswerable "$work/known_unanswerable.txt" \
    --unanswerable "$work/fit_unanswerable.txt" "$work/fit_other_subjects.txt"

# Nothing here is replaced before all of it is made.
mkdir -p "$here/model"
cp "$work/graph.index" "$here/graph.index"
for name in vocab.txt model.safetensors reranker.txt; do cp "$work/run/$name" "$here/model/$name"; done
sed "s|$work/||g; s|$here/||g" "$work/run/config.toml" > "$work/config.toml"
cp "$work/config.toml" "$here/model/config.toml"

$kexue qa expand --kg "$work/graph.index" --templates "$here/unanswerable_test.tsv" --unanswerable --each 12 --seed 5 -o "$work/test_unanswerable.txt"
$kexue qa eval --kg "$here/graph.index" --model "$here/model" --questions "$here/test_questions.tsv" --unanswerable "$work/test_unanswerable.txt"
