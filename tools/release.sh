#!/usr/bin/env bash
# Makes an archive of the command that runs on any Linux of this processor: static, stripped, with completions, manual pages and licences; then runs it where
# nothing else is.
#
#   tools/release.sh [FOLDER]        writes FOLDER/kexue-VERSION-TARGET.tar.gz (default: target/release-archive)
#
# The target is x86_64-unknown-linux-musl, which needs `rustup target add x86_64-unknown-linux-musl` and musl-gcc (Debian: musl-tools). KEXUE_TARGET names
# another; with x86_64-unknown-linux-gnu the GNU C library is linked statically.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-target/release-archive}
target=${KEXUE_TARGET:-$(uname -m)-unknown-linux-musl}
built=${CARGO_TARGET_DIR:-target}
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
  CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --release --locked -p kexue-cli --target "$target"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=kexue-$version-$target
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/$name"/{completions,man/man1,examples} "$out"
cp "$built/$target/release/kexue" "$stage/$name/kexue"
cp LICENSE-MIT LICENSE-APACHE README.md README.zh.md CHANGELOG.md "$stage/$name/"
cp -r examples/data "$stage/$name/examples/data"
# The licences of what is linked in.
cargo metadata --locked --format-version 1 --filter-platform "$target" |
  python3 -c 'import json,sys
for p in sorted(json.load(sys.stdin)["packages"], key=lambda p: p["name"]):
    if p["source"]: print(p["name"], p["version"], p["license"] or "see its repository", p["repository"] or "", sep="\t")' > "$stage/$name/THIRD-PARTY.tsv"

# From here on nothing but the archive's own program is run, in a root folder that holds nothing else.
ldd "$stage/$name/kexue" 2>&1 | grep -Eq 'statically linked|not a dynamic executable' || { echo "the program is not static" >&2; exit 1; }
program="$stage/$name/kexue"
"$program" completions bash > "$stage/$name/completions/kexue.bash"
"$program" completions zsh > "$stage/$name/completions/_kexue"
"$program" completions fish > "$stage/$name/completions/kexue.fish"
"$program" man -o "$stage/$name/man/man1"

empty=$(mktemp -d)
trap 'rm -rf "$stage" "$empty"' EXIT
cp -r "$stage/$name/." "$empty/"
mkdir -p "$empty/tmp"
alone() { if [ "$(id -u)" = 0 ]; then chroot "$empty" /kexue "$@"; else unshare -r chroot "$empty" /kexue "$@"; fi; }
alone --version
[ "$(alone ask What is the capital of France | head -1)" = Paris ]
[ "$(alone ask 法国的首都是哪里？ | head -1)" = 巴黎 ]
alone vocab examples/data/facts.tsv examples/data/questions.tsv -o vocab.txt
alone kg build examples/data/facts.tsv --vocab vocab.txt -o town.idx
alone qa train --kg town.idx --questions examples/data/questions.tsv -o run --steps 20
alone rank show examples/data/leaderboard.csv --quiet

tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" -czf "$out/$name.tar.gz" "$name"
(cd "$out" && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")
ls -l "$out/$name.tar.gz"
